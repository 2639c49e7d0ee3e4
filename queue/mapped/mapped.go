// Package mapped tells the kernel how the files that this process has mapped into its memory are
// used: Badger's, and the program itself. In a small container their pages and the heap share what
// there is, and the wrong pages kept, or read, are what makes everything stand still.
//
// Whoever touches a page that is not in memory is given its surroundings too: 128 KiB, or as much as
// the disk is set to read ahead, which may be 8 MiB. In files that are read here and there each of
// these pages is one less for others.
//
// All of it is best effort: a kernel may not know an advice, and a mapping may be gone by now. On
// other systems than Linux nothing is done.
package mapped
