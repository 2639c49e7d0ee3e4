package tailer

import (
	"context"
	"maps"
	"slices"
)

// spoolBatch is what is read and not yet kept: records, and the files whose last ones are
// among them.
type spoolBatch struct {
	share
	finished []*spoolFile
	// part is the file that is being read.
	part *spoolFile
}

func (b *spoolBatch) empty() bool {
	return len(b.finished) == 0 && (b.turn == nil || len(b.pack.records) == 0)
}

func (b *spoolBatch) full() bool {
	return len(b.pack.records) >= DefaultBatchLines || len(b.pack.arena) >= DefaultBatchBytes
}

// offer hands the batch over with the cursor behind it, and notes in the checkpoints what
// could not be used.
func (b *spoolBatch) offer(ctx context.Context, feed *feed, known checkpoints) error {
	if b.part != nil {
		b.part.c.at(b.part.f)
	}
	batch := &Batch{Records: b.pack.records, seal: func(r []Rejection) []byte { return known.encode(b.reasons(r)) }}
	verdicts, err := feed.offer(ctx, batch)
	if err != nil {
		return err
	}
	rejected := b.reasons(verdicts)
	for _, f := range b.finished {
		f.c.reject(rejected[f.c.Stream])
		delete(rejected, f.c.Stream)
	}
	for _, c := range known {
		c.reject(rejected[c.Stream])
	}
	return nil
}

// reasons collects why records of the batch could not be used, by stream.
func (b *spoolBatch) reasons(verdicts []Rejection) map[string][]reason {
	why := map[int]string{}
	for i, r := range b.pack.records {
		if r.Damage != "" {
			why[i] = r.Damage
		}
	}
	for _, v := range verdicts {
		why[v.Record] = v.Reason
	}
	all := map[string][]reason{}
	for _, i := range slices.Sorted(maps.Keys(why)) {
		r, text := b.pack.records[i], why[i]
		all[r.Stream] = append(all[r.Stream], reason{r.Offset, text[:min(len(text), maxReason)]})
	}
	return all
}

// close ends the turn and closes the files.
func (b *spoolBatch) close() {
	b.endTurn()
	if b.part != nil {
		b.part.close()
	}
	for _, f := range b.finished {
		f.close()
	}
}
