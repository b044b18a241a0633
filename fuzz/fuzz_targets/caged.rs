#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| panal_fuzz_bodies::caged(data));
