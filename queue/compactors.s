// Without a file of assembly a package may not declare functions that are another's; see compactors.go.
