//! Packets a second: a generated pcap through XDP programs, the whole command measured.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::Command,
};

use crate::{
    command::{best_of, panal, root},
    table::Table,
};

const PACKETS: u32 = 500_000;

/// A pcap of TCP packets of 64 bytes from many sources.
fn write_pcap(path: &Path) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(&0xa1b2_c3d4u32.to_le_bytes())?;
    out.write_all(&[2, 0, 4, 0])?;
    out.write_all(&[0; 8])?;
    out.write_all(&65535u32.to_le_bytes())?;
    out.write_all(&1u32.to_le_bytes())?;
    for i in 0..PACKETS {
        let mut packet = [0u8; 64];
        packet[12..14].copy_from_slice(&[8, 0]);
        packet[14] = 0x45;
        packet[16..18].copy_from_slice(&50u16.to_be_bytes());
        packet[22] = 64;
        packet[23] = 6;
        packet[26..30].copy_from_slice(&(0x0a00_0000 | (i % 1000)).to_be_bytes());
        packet[30..34].copy_from_slice(&0xc0a8_0001u32.to_be_bytes());
        packet[34..36].copy_from_slice(&(1024 + (i % 50_000) as u16).to_be_bytes());
        packet[36..38].copy_from_slice(&80u16.to_be_bytes());
        for word in [i / 1_000_000, i % 1_000_000, 64, 64] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&packet)?;
    }
    out.flush()
}

/// Prints the table.
pub fn run() -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("panal-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let result = measure(&folder);
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn measure(folder: &Path) -> Result<(), String> {
    let pcap = folder.join("in.pcap");
    write_pcap(&pcap).map_err(|e| e.to_string())?;
    let objects = [
        root().join("bench/programs/pass.bpf.o"),
        root().join("examples/firewall.bpf.o"),
        "/usr/lib/x86_64-linux-gnu/bpf/xdpfilt_dny_all.o".into(),
    ];
    let mut table = Table::new(&["program", "Mpps", "ns a packet"]);
    for object in objects.iter().filter(|o| o.exists()) {
        let mut command = Command::new(panal()?);
        command.arg("run").arg(object).arg("--pcap").arg(&pcap);
        let took = best_of(3, &mut [&mut command])?[0];
        let ns = took.as_nanos() as f64 / f64::from(PACKETS);
        let name = object
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        table.row(&[name, format!("{:.2}", 1e3 / ns), format!("{ns:.0}")]);
    }
    table.print();
    println!(
        "\n{PACKETS} packets of 64 bytes; start-up and reading of the file included; best of 3"
    );
    Ok(())
}
