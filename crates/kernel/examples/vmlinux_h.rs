//! Prints the kernel's own types as a C header: `examples/vmlinux.h`.

fn main() {
    match panal_kernel::types::btf().to_c() {
        Ok(header) => print!("{header}"),
        Err(error) => {
            eprintln!("vmlinux_h: {error}");
            std::process::exit(2);
        }
    }
}
