# As old compilers wrote it: functions without a type, programs in .text, no types at all.
	.section	prog,"ax",@progbits
	.globl	untyped
untyped:
	r0 = 0
	if r1 == 0 goto LBB0_2
	r0 = 1
LBB0_2:
	exit

	.text
	.globl	in_text
in_text:
	call helper_function
	exit
helper_function:
	r0 = 3
	exit
	.type	helper_function,@function
	.type	in_text,@function
