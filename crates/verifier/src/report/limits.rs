//! What makes a bound hold: which comparison or mask is missing, and with which number.

use alloc::{
    format,
    string::{String, ToString},
};

use panal_uapi::report::{Bound, Quantity, Range};

use super::advice::Case;
use super::origin::Cause;

/// What makes a bound hold.
pub fn limit(case: &Case<'_>, bound: Option<&Bound>) -> String {
    let Some(Bound {
        quantity,
        known,
        needed,
    }) = bound
    else {
        return "check the bound".to_string();
    };
    if needed.min > needed.max {
        return "no value would do here: the access itself is larger than the object".to_string();
    }
    let what = match quantity {
        Quantity::Size => "the size",
        Quantity::Value => "the value",
        Quantity::Offset => "the index",
        Quantity::PacketBytes => "the pointer",
    };
    if *quantity == Quantity::Value {
        return match known.min == known.max {
            true if needed.max == needed.min + 1 => {
                format!("return {} or {}", needed.min, needed.max)
            }
            true if needed.max == needed.min => format!("return {}", needed.min),
            true if errors(needed) => match needed.min <= -known.min {
                true if known.min > 0 => format!(
                    "return 0, or an error as a negative number: {}, not {}",
                    -known.min, known.min
                ),
                _ => "return 0, or an error as a negative number (`-EPERM`)".to_string(),
            },
            true => format!("return a number from {} to {}", needed.min, needed.max),
            false if errors(needed) => {
                "return 0, or an error as a negative number (`-EPERM`), on every path".to_string()
            }
            false => format!(
                "bring the value into {} to {} on every path before it is returned",
                needed.min, needed.max
            ),
        };
    }
    if *quantity == Quantity::Size {
        return size_limit(known, needed);
    }
    if known.min == known.max {
        return match case.rounds {
            0 => format!(
                "the offset must be {} to {}: mind the sizes of the types involved",
                needed.min, needed.max
            ),
            rounds => format!(
                "in this round (number {}) the loop has left the object: let it end earlier, or \
                 make the object larger",
                rounds + 1
            ),
        };
    }
    if known.min < needed.min && known.max <= needed.max {
        return format!("make {what} unsigned, or leave when it is negative, before it is used");
    }
    if let Some(most) = greatest_index(case, known, needed) {
        return index_limit(case, known.min < needed.min, most);
    }
    let unsigned = match known.min < needed.min {
        true => " as an unsigned number",
        false => "",
    };
    let compare = format!(
        "compare {what}{unsigned} with the number of elements before it is used, or mask it"
    );
    match needed.min < 0 {
        true => compare,
        false => format!(
            "{compare}; the offset may be {} to {}",
            needed.min, needed.max
        ),
    }
}

/// Whether what may be returned is 0 or an error.
fn errors(needed: &Range) -> bool {
    needed.max == 0 && needed.min == -4095
}

/// The greatest index that would do, where the offset is a multiple of the number at the origin.
fn greatest_index(case: &Case<'_>, known: &Range, needed: &Range) -> Option<i128> {
    let (least, most) = case.origin?;
    let (width, reach) = (most - least, known.max - known.min);
    let element = (width > 0 && reach % width == 0).then(|| reach / width)?;
    // The offset of index 0: a field's, or that of an array in the frame.
    let first = known.min - least * element;
    // What is read at once is no more than an element.
    let element_fits = case.size.is_none_or(|size| element >= i128::from(size));
    let within = element > 0 && element_fits && first >= needed.min && first <= needed.max;
    (within && element < 1 << 20).then(|| (needed.max - first) / element)
}

/// Says what keeps an index within the greatest one.
fn index_limit(case: &Case<'_>, signed: bool, most: i128) -> String {
    let checked = matches!(case.cause, Some((Cause::Checked, _)));
    let count = most + 1;
    let unsigned = match signed {
        true => " as an unsigned number",
        false => "",
    };
    match case.origin {
        Some((0, reached)) if checked && case.compared && reached == count => format!(
            "the comparison lets one too many through: the index may be at most {most}, so leave \
             when it is `>= {count}`"
        ),
        _ if count > 1 && count & most == 0 => format!(
            "compare the index{unsigned} with the number of elements before it is used \
             (`if (index >= {count}) return 0;`), or mask it (`index &= {most}`)"
        ),
        _ => format!(
            "compare the index{unsigned} with the number of elements before it is used \
             (`if (index >= {count}) return 0;`)"
        ),
    }
}

/// What makes the bound of a size hold: many calls do not take 0.
pub fn size_limit(known: &Range, needed: &Range) -> String {
    let (zero, most) = (needed.min > 0, needed.max);
    if needed.min == needed.max {
        return format!("pass the address of a variable that has {most} bytes");
    }
    if known.min == known.max {
        return match known.min {
            0 if zero => "pass a size of at least 1".to_string(),
            _ => format!(
                "pass a size of {} to {most}, or a larger buffer",
                needed.min
            ),
        };
    }
    let (negative, large) = (known.min < 0, known.max > most);
    match (zero && known.min <= 0, large) {
        (true, true) => format!(
            "leave when the size is 0 or greater than {most}{}, before the call: \
             `if (size == 0 || size > {most}) return 0;`",
            if negative {
                ", as an unsigned number"
            } else {
                ""
            }
        ),
        (true, false) if negative => {
            "leave when the size is 0 or negative, before the call: `if (size <= 0) return 0;`"
                .to_string()
        }
        (true, false) => {
            "leave when the size is 0, before the call: `if (size == 0) return 0;`".to_string()
        }
        (false, true) => format!(
            "compare the size{} with {most} before it is used, or mask it",
            if negative {
                " as an unsigned number"
            } else {
                ""
            }
        ),
        (false, false) => {
            "make the size unsigned, or leave when it is negative, before it is used".to_string()
        }
    }
}
