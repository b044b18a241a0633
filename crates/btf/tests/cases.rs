//! Text cases: types as bpftool's raw dump writes them, and what is said about them.

mod text;

use panal_btf::{Btf, BtfError, NotLoadable};

#[test]
fn malformed_types_are_told_apart_as_by_linux() {
    let cases = include_str!("cases/malformed.txt");
    let mut count = 0;
    for case in cases.split("\n== ").skip(1) {
        let (name, body) = case.split_once('\n').unwrap();
        let field = |key: &str| {
            body.lines()
                .find_map(|l| l.strip_prefix(key)?.strip_prefix(": "))
        };
        let bytes = text::builder(body).to_bytes().unwrap();
        let parsed = Btf::parse(&bytes);
        let mut ok = parsed.is_ok();
        let said = parsed
            .as_ref()
            .map_or_else(BtfError::to_string, |_| "ok".into());
        assert_eq!(said, field("expect").unwrap(), "{name}");
        if let Ok(btf) = parsed {
            let loadable = btf.check_loadable();
            ok = loadable.is_ok();
            let said = loadable
                .as_ref()
                .map_or_else(NotLoadable::to_string, |_| "ok".into());
            assert_eq!(said, field("loadable").unwrap_or("ok"), "{name}");
            assert_eq!(btf.to_bytes().unwrap(), bytes, "{name}");
        }
        let differs = ok != (field("linux").unwrap() == "ok");
        assert_eq!(differs, field("why").is_some(), "{name}: Linux disagrees");
        count += 1;
    }
    assert!(count > 30);
}
