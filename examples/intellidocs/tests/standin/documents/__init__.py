"""A stand-in for IntelliDocs' application of this name, with what concerns AI webhooks."""
