//go:build manual

package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Only what writes the manual pages for a release is built with this command: the libraries that it
// needs are half a megabyte.
func init() {
	ofReleases = func(root *cobra.Command) []*cobra.Command {
		return []*cobra.Command{{
			Use: "man DIR", Short: "Write the manual pages into a directory", Args: cobra.ExactArgs(1), Hidden: true,
			RunE: func(_ *cobra.Command, args []string) error {
				return doc.GenManTree(root, &doc.GenManHeader{Title: "INTELLIDOCS-AGENT", Section: "1", Source: "intellidocs-agent"}, args[0])
			},
		}}
	}
}
