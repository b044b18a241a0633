//! For security policies.

use super::signature::{Return::*, Traits, args::*, sig};
use super::table::helpers;

helpers! {
    BPF_FUNC_bprm_opts_set = 159, (5, 11), "Sets options of a program that is being executed.",
        sig(&[btf("linux_binprm"), ANY], Integer);
    BPF_FUNC_ima_inode_hash = 161, (5, 11), "The measured hash of an inode.",
        sig(&[btf("inode"), MEM_OUT, SIZE], Integer).may_sleep().with(Traits::SLEEPABLE_ONLY);
    BPF_FUNC_ima_file_hash = 193, (5, 18), "The measured hash of a file.",
        sig(&[btf("file"), MEM_OUT, SIZE], Integer).may_sleep().with(Traits::SLEEPABLE_ONLY);
}
