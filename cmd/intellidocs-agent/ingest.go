package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/ingest"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
)

// ingestCommand is what ingest was asked for.
type ingestCommand struct {
	*cli
	dry bool
}

func newIngest(c *cli) *cobra.Command {
	in := &ingestCommand{cli: c}
	cmd := &cobra.Command{
		Use: "ingest FILE…", Short: "Queue the events of old logs", Args: cobra.MinimumNArgs(1),
		Long: "Reads old logs (also .gz) and queues their events. Events that were queued before are not queued\n" +
			"again, so it is safe to ingest a log twice. --dry-run only counts the events by type. A file\n" +
			"that cannot be read is reported, and the other files are still read.",
		Example: "  intellidocs-agent ingest --dry-run paperless.log.3.gz\n  intellidocs-agent ingest /backup/paperless.log.*",
		RunE:    func(cmd *cobra.Command, args []string) error { return in.run(cmd.Context(), args) },
	}
	cmd.Flags().BoolVar(&in.dry, "dry-run", false, "count the events by type, queue nothing")
	return cmd
}

func (in *ingestCommand) run(ctx context.Context, paths []string) error {
	conn, err := in.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	queued, failed := 0, false
	for _, path := range paths {
		t, err := in.file(ctx, conn, path)
		queued += t.Deliveries
		if err != nil {
			fmt.Fprintf(in.err, "intellidocs-agent: %s: %s\n", path, term.PrintableLines(err.Error()))
			failed = true
		}
		if ctx.Err() != nil {
			break
		}
	}
	if hint := conn.hint(queued); hint != "" && !in.dry {
		fmt.Fprintln(in.out, strings.TrimSpace(hint))
	}
	if failed {
		return errSilent
	}
	return nil
}

func (in *ingestCommand) file(ctx context.Context, conn *connection, path string) (t ingest.Totals, err error) {
	// A pipe, which is refused below, is not waited for.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return t, errors.Unwrap(err) // the path is named already
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return t, err
	}
	if !info.Mode().IsRegular() {
		return t, errors.New("it is not a regular file")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return t, err
	}
	bar := term.Bar(in.err, info.Size(), filepath.Base(path), true)
	read := progressbar.NewReader(file, bar)
	text, err := unpacked(&read, path)
	if err != nil {
		return t, err
	}
	intact := &toDamage{r: text}
	t, err = conn.Ingest(ctx, abs, intact, in.dry)
	_ = bar.Finish()
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted; what was queued stays queued, and ingesting the file again queues only the rest")
		}
		return t, err
	}
	in.print(path, t)
	if intact.err != nil {
		return t, fmt.Errorf("it is damaged or cut off; everything before that was read: %w", intact.err)
	}
	if len(t.Events) == 0 && t.Rejected == 0 && info.Size() > 0 {
		return t, errors.New("there is no event in it: is it the log that IntelliDocs writes its AI events to (ai_webhooks.log)?")
	}
	return t, nil
}

func (in *ingestCommand) print(path string, t ingest.Totals) {
	events := 0
	for _, n := range t.Events {
		events += n
	}
	fmt.Fprintf(in.out, "%s: %d records, %d events, %d skipped, %d rejected\n", path, t.Records, events, t.Skipped, t.Rejected)
	for _, typ := range slices.Sorted(maps.Keys(t.Events)) {
		fmt.Fprintf(in.out, "  %7d  %s\n", t.Events[typ], term.Printable(typ))
	}
	if !in.dry {
		fmt.Fprintf(in.out, "  %d queued for %s; %d were queued before\n", t.Queued, deliveries(t.Deliveries), t.Duplicates)
	}
}

// unpacked returns the text of a log that may be gzipped, whatever its name.
func unpacked(r io.Reader, path string) (io.Reader, error) {
	in := bufio.NewReader(r)
	head, _ := in.Peek(6) // what is wrong with the file shows when it is read
	if bytes.HasPrefix(head, []byte("\x1f\x8b")) || strings.HasSuffix(path, ".gz") {
		text, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("not a gzip file: %w", err)
		}
		return text, nil
	}
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return nil, errors.New("it is UTF-16, and IntelliDocs writes UTF-8: convert it first, with iconv -f UTF-16 -t UTF-8")
	}
	for magic, tool := range map[string]string{"BZh": "bzip2", "\xfd7zXZ\x00": "xz", "\x28\xb5\x2f\xfd": "zstd", "\x04\x22\x4d\x18": "lz4", "PK\x03\x04": "zip"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return nil, fmt.Errorf("it is compressed with %s, and only gzip can be read here: unpack it first", tool)
		}
	}
	return in, nil
}

// toDamage ends where r cannot be read further, and keeps why: what comes before is worth
// having.
type toDamage struct {
	r   io.Reader
	err error
}

func (d *toDamage) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		d.err, err = err, io.EOF
	}
	return n, err
}
