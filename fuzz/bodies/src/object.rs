//! Objects: hostile ELF is refused or becomes a description in which every reference holds.

use panal_object::Object;

/// Bytes as an object file.
pub fn object(data: &[u8]) {
    match Object::parse(data) {
        Ok(object) => {
            // All of it can be shown.
            let _ = format!("{object:?}");
            let again = Object::parse(data).expect("the same bytes are the same object");
            assert_eq!(format!("{object:?}"), format!("{again:?}"));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
