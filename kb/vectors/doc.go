// Package vectors finds the vectors nearest to a question among all of a set, by the cosine of their angle. It compares every vector, and
// finds exactly what comparing the floats of all of them finds: there is no index that could miss one, and nothing to build.
//
// A vector is kept twice: with a byte for a number and one scale, and as floats. A search reads the bytes of all rows, in their order, and
// the floats of the few that are best by their bytes. So the floats may stay in a mapped file; the bytes should be in memory. A vector takes
// 5·dims + 4 bytes, of which dims + 4 are read by every search: of 768 numbers it is 3,844, of which 772 are read.
//
// The question is rounded to bytes like the rows. Their products are whole numbers, which do not depend on the order in which they are
// added, and floats are added in one order: so all processors find the same rows with the same cosines. Which instructions are used (AVX-512
// VNNI, AVX2, or those of any processor) is chosen when the program starts.
//
// What is lost when numbers are rounded is bounded, so the bytes tell from where to where the cosine of a row is. Only those rows are compared
// by their floats that may be among the nearest by that: a few hundred of 100,000 as a rule. Where thousands of rows are nearly the same as
// the question, it is thousands, and a search takes at most as long as one by bytes and one by floats.
//
// A search is as fast as memory: its time grows with the bytes of the set. 100,000 vectors of 768, clustered or random, take 1.8 to 3.7 ms on
// one core of a busy machine, 1.05 to 1.4 times as long as reading their bytes; with the instructions of any processor it is 60 to 80 ms.
// See BenchmarkNearest. Among 33,000 vectors that are nearly the same it was 35 ms. A million were not measured: by that they take 3.8 GB, of
// which .77 GB are read in 20 to 35 ms.
//
// A Search keeps 16 bytes for each row that may be among the nearest, and needs no more memory for the next question.
// One search runs on one goroutine. Who has more of both may cut a set into several, search each of them, and take the best of all;
// cosines of different sets compare.
//
// A Set may be read by any number of goroutines at once, each with a Search of its own, while no one adds to it. It writes no file: Cells,
// Scales and Exact are what is to be kept, and Of makes a Set of it again.
package vectors
