//! Text: formatting, parsing, comparing, printing.

use super::signature::{Return::*, Traits, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_trace_printk = 6, (4, 1), "Prints to the trace pipe.",
        sig(&[MEM_RO, SIZE], Integer).gpl().with(Traits::READS_MORE);
    BPF_FUNC_strtol = 105, (5, 2), "Parses a signed number.",
        sig(&[MEM_RO, SIZE, ANY, number_out(8)], Integer);
    BPF_FUNC_strtoul = 106, (5, 2), "Parses an unsigned number.",
        sig(&[MEM_RO, SIZE, ANY, number_out(8)], Integer);
    BPF_FUNC_seq_printf = 126, (5, 8), "Prints to a sequence file.",
        sig(&[btf("seq_file"), MEM_RO, SIZE, MEM_RO.or_null(), SIZE0], Integer).gpl();
    BPF_FUNC_seq_write = 127, (5, 8), "Writes bytes to a sequence file.",
        sig(&[btf("seq_file"), MEM_RO, SIZE0], Integer).gpl();
    BPF_FUNC_snprintf_btf = 149, (5, 10), "Formats an object by its type.",
        sig(&[MEM_RW, SIZE, MEM_RO, SIZE, ANY], Integer);
    BPF_FUNC_seq_printf_btf = 150, (5, 10), "Prints an object by its type to a sequence file.",
        sig(&[btf("seq_file"), MEM_RO, SIZE0, ANY], Integer).gpl();
    BPF_FUNC_snprintf = 165, (5, 13), "Formats a string.",
        sig(&[MEM_RW.or_null(), SIZE0, STR, MEM_RO.or_null(), SIZE0], Integer).gpl();
    BPF_FUNC_trace_vprintk = 177, (5, 16), "Prints any number of arguments to the trace pipe.",
        sig(&[MEM_RO, SIZE, MEM_RO.or_null(), SIZE0], Integer).gpl();
    BPF_FUNC_strncmp = 182, (5, 17), "Compares with a constant string.",
        sig(&[MEM_RO, SIZE, STR], Integer);
}
