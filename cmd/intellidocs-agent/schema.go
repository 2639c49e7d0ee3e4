package main

import (
	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
)

func newSchema(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of agent.toml, for editors", Args: cobra.NoArgs,
		Long: "Prints the JSON Schema of agent.toml. Editors that use taplo (Even Better TOML, Helix, Neovim, Zed)\n" +
			"check and complete an agent.toml whose first line names it: '#:schema ./agent.schema.json'.",
		Example: "  intellidocs-agent schema > agent.schema.json",
		RunE: func(*cobra.Command, []string) error {
			_, err := c.out.Write(config.Schema())
			return err
		},
	}
}
