package dispatch

// CheckFilter tells what is wrong with a filter expression, nil where nothing is.
func CheckFilter(source string) error {
	if source == "" {
		return nil
	}
	_, err := compileFilter(source)
	return err
}
