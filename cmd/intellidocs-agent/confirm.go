package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
)

// confirm asks on a terminal; what says that the answer was no.
func (c *cli) confirm(ctx context.Context, yes bool, question, what string) (bool, error) {
	if yes || !term.IsTerminal(c.in) {
		return true, nil
	}
	fmt.Fprint(c.err, question+" [y/N] ")
	line, err := term.Interruptible(ctx, func() (string, error) {
		line, err := bufio.NewReader(c.in).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return line, err
	})
	if err != nil {
		fmt.Fprintln(c.err)
		return false, err
	}
	if s := strings.ToLower(strings.TrimSpace(line)); s != "y" && s != "yes" {
		fmt.Fprintln(c.err, what)
		return false, nil
	}
	return true, nil
}
