//! How long the kernel's BTF takes to parse: `cargo run --release --example parse_time`.
fn main() {
    let path = std::env::args()
        .nth(1)
        .unwrap_or("/sys/kernel/btf/vmlinux".into());
    let bytes = std::fs::read(&path).expect("read");
    for _ in 0..5 {
        let start = std::time::Instant::now();
        let btf = panal_btf::Btf::parse(&bytes);
        let took = start.elapsed();
        match btf {
            Ok(btf) => println!("{} types in {took:?}", btf.len()),
            Err(e) => println!("{e}"),
        }
    }
}
