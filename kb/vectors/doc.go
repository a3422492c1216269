// Package vectors finds the vectors nearest to a question among all of a set, by the cosine of their angle. It compares every vector: there
// is no index that could miss one, and nothing to build.
//
// A vector is kept twice: with a byte for a number and one scale, and as floats. A search reads the bytes of all rows, in their order, and
// the floats of the few that are best by their bytes. So the floats may stay in a mapped file; the bytes should be in memory. A vector takes
// 5·dims + 4 bytes, of which dims + 4 are read by every search: of 768 numbers it is 3,844, of which 772 are read.
//
// The question is rounded to bytes like the rows. Their products are whole numbers, which do not depend on the order in which they are
// added, and floats are added in one order: so all processors find the same rows with the same cosines. Which instructions are used (AVX-512
// VNNI, AVX2, or those of any processor) is chosen when the program starts.
//
// Rounding turns a cosine by about a thousandth. 4·k + 40 rows are compared exactly to find k, and a row is missed where more than all the
// others seem nearer than it by mistake. The benchmark measures how often: see BenchmarkNearest.
//
// A search is as fast as memory: its time grows with the bytes of the set. 100,000 vectors of 768 take 2.5 to 3 ms on one core of a
// processor that reads 30 GB/s. A million of them were not measured: by that they take 3.8 GB, of which .77 GB are read in 25 to 30 ms.
// One search runs on one goroutine. Who has more of both may cut a set into several, search each of them, and take the best of all;
// cosines of different sets compare.
//
// A Set may be read by any number of goroutines at once, each with a Search of its own, while no one adds to it. It writes no file: Cells,
// Scales and Exact are what is to be kept, and Of makes a Set of it again.
package vectors
