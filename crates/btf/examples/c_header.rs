//! Writes a BTF as a C header: `cargo run --example c_header [FILE]`.
fn main() {
    let path = std::env::args()
        .nth(1)
        .unwrap_or("/sys/kernel/btf/vmlinux".into());
    let bytes = std::fs::read(&path).expect("read");
    let btf = panal_btf::Btf::parse(&bytes).expect("parse");
    print!("{}", btf.to_c().expect("print"));
}
