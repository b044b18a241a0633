//! Names of the kernel's addresses.

use std::fs;

/// Symbols by address. Empty when the kernel hides them.
pub struct Symbols(Vec<(u64, String)>);

impl Symbols {
    /// The running kernel's at this moment: programs come and go.
    pub fn read() -> Symbols {
        let text = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
        let mut all: Vec<(u64, String)> = text.lines().filter_map(read).collect();
        all.sort_by_key(|(address, _)| *address);
        Symbols(all)
    }

    /// What starts exactly at an address.
    pub fn at(&self, address: u64) -> Option<&str> {
        let found = self.0.binary_search_by_key(&address, |(at, _)| *at).ok()?;
        Some(&self.0[found].1)
    }

    /// Where a symbol lies.
    pub fn address(&self, name: &str) -> Option<u64> {
        self.0
            .iter()
            .find(|(_, own)| own == name)
            .map(|(at, _)| *at)
    }
}

/// `ffffffff81000000 T _text`, with a module's name behind.
fn read(line: &str) -> Option<(u64, String)> {
    let mut words = line.split_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let name = words.nth(1)?;
    (address != 0).then(|| (address, name.to_owned()))
}
