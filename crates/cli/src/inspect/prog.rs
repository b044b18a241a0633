//! `panal prog show`

use std::time::{SystemTime, UNIX_EPOCH};

use panal_uapi::inspect::{ObjectKind, OpenFlags, ProgInfo};

use super::{Answer, Asking, Said, json::Members};
use crate::{error::Problem, output::hex};

pub fn show(asking: &Asking<'_>) -> Result<Answer, Problem> {
    super::show(asking, ObjectKind::Program, OpenFlags::empty(), |one| {
        let info = one.place.listed(one.place.kernel.prog_info(&one.fd))?;
        Ok(info.map(|info| {
            let said = match asking.json {
                true => Said::Json(members(&info)),
                false => lines(&info),
            };
            (info.id, said)
        }))
    })
}

/// The name of a program type; its number when this version does not know it.
pub fn type_name(number: u32) -> String {
    let known = panal_uapi::ProgType::from_number(number);
    known.map_or_else(|| format!("type {number}"), |t| t.short_name().to_owned())
}

/// What every answer about a program begins with.
pub fn heading(info: &ProgInfo) -> Members {
    let mut json = Members::default();
    json.put("id", info.id);
    match info.known_type() {
        Some(known) => json.put("type", known.short_name()),
        None => json.put("type", info.prog_type),
    };
    if !info.name.is_empty() {
        json.put("name", info.name.as_str());
    }
    json.put("tag", hex(info.tag));
    json.put("gpl_compatible", info.gpl_compatible);
    if info.run_time_ns > 0 {
        json.put("run_time_ns", info.run_time_ns);
        json.put("run_cnt", info.run_cnt);
    }
    if info.recursion_misses > 0 {
        json.put("recursion_misses", info.recursion_misses);
    }
    json
}

fn members(info: &ProgInfo) -> Members {
    let mut json = heading(info);
    if info.load_time > 0 {
        json.put("loaded_at", loaded_at(info.load_time));
        json.put("uid", info.created_by_uid);
    }
    json.put("bytes_xlated", info.xlated_len);
    json.put("jited", info.jited_len > 0);
    if info.jited_len > 0 {
        json.put("bytes_jited", info.jited_len);
    }
    json.put("bytes_memlock", info.memlock);
    if !info.map_ids.is_empty() {
        json.put(
            "map_ids",
            info.map_ids.iter().copied().collect::<super::json::Json>(),
        );
    }
    if info.btf_id > 0 {
        json.put("btf_id", info.btf_id);
    }
    json
}

/// The same for people.
pub fn heading_line(info: &ProgInfo) -> String {
    let mut text = format!("{}: {}", info.id, type_name(info.prog_type));
    if !info.name.is_empty() {
        text.push_str(&format!("  name {}", info.name));
    }
    text.push_str(&format!("  tag {}", hex(info.tag)));
    if info.gpl_compatible {
        text.push_str("  gpl");
    }
    if info.run_time_ns > 0 {
        let (time, count) = (info.run_time_ns, info.run_cnt);
        text.push_str(&format!(" run_time_ns {time} run_cnt {count}"));
    }
    if info.recursion_misses > 0 {
        text.push_str(&format!(" recursion_misses {}", info.recursion_misses));
    }
    text
}

/// The lines before pins and processes, and the one after them.
fn lines(info: &ProgInfo) -> Said {
    let mut text = heading_line(info);
    if info.load_time > 0 {
        let (at, uid) = (date(loaded_at(info.load_time)), info.created_by_uid);
        text.push_str(&format!("\n\tloaded_at {at}  uid {uid}"));
    }
    text.push_str(&format!("\n\txlated {}B", info.xlated_len));
    match info.jited_len {
        0 => text.push_str("  not jited"),
        len => text.push_str(&format!("  jited {len}B")),
    }
    text.push_str(&format!("  memlock {}B", info.memlock));
    if !info.map_ids.is_empty() {
        text.push_str(&format!("  map_ids {}", comma(&info.map_ids)));
    }
    let last = match info.btf_id {
        0 => String::new(),
        id => format!("\n\tbtf_id {id}"),
    };
    Said::Text(text, last)
}

/// `1,2,3`
pub fn comma(ids: &[u32]) -> String {
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    ids.join(",")
}

/// Seconds since 1970 of a moment that is told in nanoseconds since the machine started.
fn loaded_at(since_boot: u64) -> u64 {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let uptime: f64 = uptime
        .split(' ')
        .next()
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(0.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0.0, |now| now.as_secs_f64());
    // Both clocks are rounded: the nearest second is the right one more often than the last.
    (now - uptime + since_boot as f64 / 1e9).max(0.0) as u64
}

/// `2026-11-26T11:41:39+0000`
fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+0000")
}

/// The day of the Gregorian calendar, so many days after 1970-01-01.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_are_those_of_the_calendar() {
        // As `date -u -d @N` prints them.
        assert_eq!(super::date(0), "1970-01-01T00:00:00+0000");
        assert_eq!(super::date(951_782_400), "2000-02-29T00:00:00+0000");
        assert_eq!(super::date(1_795_693_299), "2026-11-26T11:41:39+0000");
    }
}
