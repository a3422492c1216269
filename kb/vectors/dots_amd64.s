#include "textflag.h"

// A row is made of bytes r from -128 to 127 (Add makes none of -128, but a file may hold one), a question of bytes q from -127 to 127.

// func vnni(rows, to *int8, dims int, out *int32, count int, bias int32)
//
// VPDPBUSD multiplies bytes without a sign by bytes with one, and adds four products to each of 16 sums. It does not saturate, and four
// products are at most 4·255·127. So a row goes in as r + 128, which is r with its highest bit turned, and the sums are too large by 128
// times the sum of q, which bias takes away again. All of it is modulo 2³², and the result is less than 2³¹.
TEXT ·vnni(SB), NOSPLIT, $0-44
	MOVQ rows+0(FP), SI
	MOVQ to+8(FP), DI
	MOVQ dims+16(FP), DX
	MOVQ out+24(FP), R8
	MOVQ count+32(FP), R9
	MOVL bias+40(FP), R10

	MOVL         $0x80808080, AX
	VPBROADCASTD AX, Z31

	// K1 are the bytes of the last register that are of the row: those behind it are not even read. There is one at least where R13,
	// what there is before, is not all.
	MOVQ  DX, CX
	ANDQ  $63, CX
	MOVQ  $1, AX
	SHLQ  CX, AX
	DECQ  AX
	KMOVQ AX, K1
	MOVQ  DX, R13
	ANDQ  $-64, R13  // whole registers
	MOVQ  R13, R12
	ANDQ  $-256, R12 // four of them at once

vnniRow:
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	XORQ   BX, BX

vnniFour:
	CMPQ     BX, R12
	JGE      vnniOne
	PREFETCHT0 4096(SI)(BX*1)
	PREFETCHT0 4160(SI)(BX*1)
	PREFETCHT0 4224(SI)(BX*1)
	PREFETCHT0 4288(SI)(BX*1)
	VPXORD   (SI)(BX*1), Z31, Z4
	VPXORD   64(SI)(BX*1), Z31, Z5
	VPXORD   128(SI)(BX*1), Z31, Z6
	VPXORD   192(SI)(BX*1), Z31, Z7
	VPDPBUSD (DI)(BX*1), Z4, Z0
	VPDPBUSD 64(DI)(BX*1), Z5, Z1
	VPDPBUSD 128(DI)(BX*1), Z6, Z2
	VPDPBUSD 192(DI)(BX*1), Z7, Z3
	ADDQ     $256, BX
	JMP      vnniFour

vnniOne:
	CMPQ     BX, R13
	JGE      vnniLast
	VPXORD   (SI)(BX*1), Z31, Z4
	VPDPBUSD (DI)(BX*1), Z4, Z0
	ADDQ     $64, BX
	JMP      vnniOne

vnniLast:
	CMPQ        BX, DX
	JGE         vnniSum
	VMOVDQU8.Z  (SI)(BX*1), K1, Z4
	VPXORD      Z4, Z31, Z4
	VPDPBUSD    (DI)(BX*1), Z4, Z1

vnniSum:
	VPADDD        Z1, Z0, Z0
	VPADDD        Z3, Z2, Z2
	VPADDD        Z2, Z0, Z0
	VEXTRACTI64X4 $1, Z0, Y1
	VPADDD        Y1, Y0, Y0
	VEXTRACTI128  $1, Y0, X1
	VPADDD        X1, X0, X0
	VPSHUFD       $0x4E, X0, X1
	VPADDD        X1, X0, X0
	VPSHUFD       $0xB1, X0, X1
	VPADDD        X1, X0, X0
	VMOVD         X0, AX
	ADDL          R10, AX
	MOVL          AX, (R8)

	ADDQ DX, SI
	ADDQ $4, R8
	DECQ R9
	JNZ  vnniRow
	VZEROUPPER
	RET

// func avx2(rows, to *int8, dims, wide int, out *int32, count int)
//
// VPMADDUBSW multiplies bytes without a sign by bytes with one, and adds two products to one number of 16 bits, which saturates. So |r| is
// multiplied by q with the sign of r: two products are at most 2·128·127 = 32512, which is less than 2¹⁵. The negative of q is a byte, for
// q is not -128. VPMADDWD adds two of these to one of 8 sums of 32 bits.
TEXT ·avx2(SB), NOSPLIT, $0-48
	MOVQ rows+0(FP), SI
	MOVQ to+8(FP), DI
	MOVQ dims+16(FP), DX
	MOVQ wide+24(FP), R12
	MOVQ out+32(FP), R8
	MOVQ count+40(FP), R9

	// Ones of 16 bits.
	VPCMPEQW Y15, Y15, Y15
	VPSRLW   $15, Y15, Y15
	MOVQ     R12, R13
	ANDQ     $-64, R13     // two registers at once

avx2Row:
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	XORQ  BX, BX

avx2Two:
	CMPQ       BX, R13
	JGE        avx2One
	PREFETCHT0 4096(SI)(BX*1)
	VMOVDQU    (SI)(BX*1), Y2
	VMOVDQU    32(SI)(BX*1), Y3
	VMOVDQU    (DI)(BX*1), Y4
	VMOVDQU    32(DI)(BX*1), Y5
	VPABSB     Y2, Y6
	VPABSB     Y3, Y7
	VPSIGNB    Y2, Y4, Y4
	VPSIGNB    Y3, Y5, Y5
	VPMADDUBSW Y4, Y6, Y6
	VPMADDUBSW Y5, Y7, Y7
	VPMADDWD   Y15, Y6, Y6
	VPMADDWD   Y15, Y7, Y7
	VPADDD     Y6, Y0, Y0
	VPADDD     Y7, Y1, Y1
	ADDQ       $64, BX
	JMP        avx2Two

avx2One:
	CMPQ       BX, R12
	JGE        avx2Sum
	VMOVDQU    (SI)(BX*1), Y2
	VMOVDQU    (DI)(BX*1), Y4
	VPABSB     Y2, Y6
	VPSIGNB    Y2, Y4, Y4
	VPMADDUBSW Y4, Y6, Y6
	VPMADDWD   Y15, Y6, Y6
	VPADDD     Y6, Y0, Y0

avx2Sum:
	VPADDD       Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0x4E, X0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0xB1, X0, X1
	VPADDD       X1, X0, X0
	VMOVD        X0, AX
	MOVL         AX, (R8)

	ADDQ DX, SI
	ADDQ $4, R8
	DECQ R9
	JNZ  avx2Row
	VZEROUPPER
	RET
