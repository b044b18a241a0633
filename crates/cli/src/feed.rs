//! `--feed MAP=FILE`: records that user space writes into a user ring buffer
//! (`BPF_MAP_TYPE_USER_RINGBUF`) while programs run.
//!
//! Each line is a record. Regular files are read as the buffer has room; what may keep a reader
//! waiting (standard input, a pipe) is read by a thread of its own.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Lines, Read, Write},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    path::Path,
    str::FromStr,
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
    thread,
};

use panal_loader::{Loaded, LoadedMap};
use panal_uapi::{
    MapType,
    kernel::{Fd, Kernel},
};

use crate::{
    COULD_NOT_TRY,
    error::Problem,
    events::{RecordType, record_type},
    files::STANDARD,
    map_args::{Side, hexadecimal, read_side},
    object::choices,
    output,
};

/// One `MAP=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedArg {
    map: String,
    file: String,
}

impl FromStr for FeedArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((map, file)) if !map.is_empty() && !file.is_empty() => Ok(FeedArg {
                map: map.to_owned(),
                file: file.to_owned(),
            }),
            _ => Err("expected MAP=FILE, or MAP=- for standard input".to_owned()),
        }
    }
}

impl FeedArg {
    /// Whether it reads standard input.
    pub fn is_standard_input(&self) -> bool {
        self.file == STANDARD
    }
}

/// Lines read ahead of the buffer by a thread.
const AHEAD: usize = 64;

/// Where lines come from.
enum Source {
    File(Lines<BufReader<File>>),
    Waiting(Receiver<io::Result<String>>),
    Done,
}

enum Next {
    Line(String),
    NotYet,
    End,
}

/// What is fed into one map.
struct Feed {
    argument: FeedArg,
    fd: Fd,
    ty: Option<RecordType>,
    source: Source,
    /// The number of the last line.
    line: u64,
    /// A record that found no room yet.
    pending: Option<Vec<u8>>,
}

/// Everything that is fed.
pub struct Feeds {
    feeds: Vec<Feed>,
    /// Readable when a thread has read a line.
    wake: Option<UnixStream>,
    /// Whether a line was no record.
    faulty: bool,
}

impl Feeds {
    /// Opens the files; nothing is written yet.
    pub fn open(loaded: &Loaded<'_>, arguments: &[FeedArg]) -> Result<Feeds, Problem> {
        let mut feeds = Feeds {
            feeds: Vec::new(),
            wake: None,
            faulty: false,
        };
        let mut waker: Option<UnixStream> = None;
        for argument in arguments {
            if let Some(other) = feeds.feeds.iter().map(|f| &f.argument).find(|other| {
                other.map == argument.map
                    || other.is_standard_input() && argument.is_standard_input()
            }) {
                let text = match other.map == argument.map {
                    true => format!("--feed {}: the map is fed already", argument.map),
                    false => "--feed: standard input can be read for one map only".to_owned(),
                };
                return Err(Problem::Asked(text));
            }
            let map = map(loaded, argument)?;
            let source = match regular(argument)? {
                Some(file) => Source::File(BufReader::new(file).lines()),
                None => {
                    if waker.is_none() {
                        let (own, theirs) = pair()?;
                        (feeds.wake, waker) = (Some(own), Some(theirs));
                    }
                    Source::Waiting(reader(argument, waker.as_ref())?)
                }
            };
            feeds.feeds.push(Feed {
                argument: argument.clone(),
                fd: map.fd.clone(),
                ty: record_type(loaded, map),
                source,
                line: 0,
                pending: None,
            });
        }
        Ok(feeds)
    }

    /// Writes what there is and finds room.
    pub fn pump(&mut self, kernel: &dyn Kernel) -> Result<(), Problem> {
        if let Some(wake) = &mut self.wake {
            let mut bytes = [0; AHEAD];
            // At its end every thread has read all; it would be readable for ever.
            if matches!(wake.read(&mut bytes), Ok(0)) {
                self.wake = None;
            }
        }
        for feed in &mut self.feeds {
            self.faulty |= feed.pump(kernel)?;
        }
        Ok(())
    }

    /// Whether a record waits for room: nobody tells when there is some.
    pub fn waits_for_room(&self) -> bool {
        self.feeds.iter().any(|feed| feed.pending.is_some())
    }

    /// Becomes readable when there are lines to write; -1 when there never will be.
    pub fn descriptor(&self) -> RawFd {
        self.wake.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Says what was not written; an error when a line was no record.
    pub fn finish(self) -> Result<(), Problem> {
        for feed in &self.feeds {
            if feed.pending.is_some() {
                let FeedArg { map, file } = &feed.argument;
                output::note(&format_args!(
                    "--feed {map}={file}: the lines from {} on were not written: the map was full",
                    feed.line
                ));
            }
        }
        match self.faulty {
            true => Err(Problem::Reported(COULD_NOT_TRY)),
            false => Ok(()),
        }
    }
}

impl Feed {
    /// Whether a line was no record.
    fn pump(&mut self, kernel: &dyn Kernel) -> Result<bool, Problem> {
        let mut faulty = false;
        let FeedArg { map, file } = self.argument.clone();
        loop {
            let record = match self.pending.take() {
                Some(record) => record,
                None => match self.next(&file)? {
                    Next::NotYet | Next::End => return Ok(faulty),
                    Next::Line(line) => match self.record(line.trim()) {
                        Ok(record) => record,
                        Err(fault) => {
                            let number = self.line;
                            let text = format!("--feed {map}={file}: line {number}: {fault}");
                            output::error(&text);
                            faulty = true;
                            continue;
                        }
                    },
                },
            };
            let written = kernel
                .user_ring_buffer_write(&self.fd, &record)
                .map_err(|failure| Problem::Asked(format!("--feed {map}={file}: {failure}")))?;
            if !written {
                self.pending = Some(record);
                return Ok(faulty);
            }
        }
    }

    /// The next line that is not empty.
    fn next(&mut self, file: &str) -> Result<Next, Problem> {
        loop {
            let line = match &mut self.source {
                Source::Done => return Ok(Next::End),
                Source::File(lines) => lines.next(),
                Source::Waiting(lines) => match lines.try_recv() {
                    Ok(line) => Some(line),
                    Err(TryRecvError::Empty) => return Ok(Next::NotYet),
                    Err(TryRecvError::Disconnected) => None,
                },
            };
            let Some(line) = line else {
                self.source = Source::Done;
                continue;
            };
            let line = line.map_err(|error| Problem::file(Path::new(file), "read", &error))?;
            self.line += 1;
            if !line.trim().is_empty() {
                return Ok(Next::Line(line));
            }
        }
    }

    /// The bytes that a line means.
    fn record(&self, line: &str) -> Result<Vec<u8>, String> {
        if let Some(digits) = line.strip_prefix("hex:") {
            return hexadecimal(digits);
        }
        match &self.ty {
            Some(record) => {
                let side = Side {
                    size: record.size,
                    ty: Some((&record.btf, record.ty)),
                    prefix: false,
                };
                read_side(side, line)
            }
            None => match line.strip_prefix('"').and_then(|l| l.strip_suffix('"')) {
                Some(text) => Ok(text.as_bytes().to_vec()),
                None => Err(
                    "the map's records have no type: expected hex:0a0b0c or \"text\"".to_owned(),
                ),
            },
        }
    }
}

fn map<'l>(loaded: &'l Loaded<'_>, argument: &FeedArg) -> Result<&'l LoadedMap, Problem> {
    let FeedArg { map, file } = argument;
    let fault = |fault: String| Problem::Asked(format!("--feed {map}={file}: {fault}"));
    let is_fed = |m: &&LoadedMap| m.plan.map_type == MapType::UserRingbuf;
    let found = loaded.maps().iter().find(|m| m.plan.name == *map);
    match found {
        Some(found) if is_fed(&found) => Ok(found),
        Some(found) => Err(fault(format!(
            "the map is a {}, and only a user_ringbuf is fed: use --map for elements",
            found.plan.map_type.short_name()
        ))),
        None => {
            let all = loaded.maps().iter().filter(is_fed);
            let names = choices(all.map(|m| m.plan.name.as_str()));
            Err(fault(format!("the object has no such user_ringbuf{names}")))
        }
    }
}

/// The file, if reading it never waits.
fn regular(argument: &FeedArg) -> Result<Option<File>, Problem> {
    if argument.is_standard_input() {
        return Ok(None);
    }
    let path = Path::new(&argument.file);
    let failed = |error| Problem::file(path, "read", &error);
    // A pipe would wait here for its writer already.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Ok(None);
    }
    File::open(path).map(Some).map_err(failed)
}

fn pair() -> Result<(UnixStream, UnixStream), Problem> {
    let failed = |error| Problem::file(Path::new("--feed"), "wait for lines of", &error);
    let (own, theirs) = UnixStream::pair().map_err(failed)?;
    own.set_nonblocking(true).map_err(failed)?;
    theirs.set_nonblocking(true).map_err(failed)?;
    Ok((own, theirs))
}

/// A thread that reads lines for as long as there are any; it ends with the process.
fn reader(
    argument: &FeedArg,
    waker: Option<&UnixStream>,
) -> Result<Receiver<io::Result<String>>, Problem> {
    let (sender, receiver) = sync_channel(AHEAD);
    let standard = argument.is_standard_input();
    let path = argument.file.clone();
    let failed = |error| Problem::file(Path::new(&argument.file), "read", &error);
    let mut waker = waker
        .map(UnixStream::try_clone)
        .transpose()
        .map_err(failed)?;
    let read = move || {
        let input: Box<dyn BufRead> = match standard {
            true => Box::new(io::stdin().lock()),
            false => match File::open(&path) {
                Ok(file) => Box::new(BufReader::new(file)),
                Err(error) => {
                    let _ = sender.send(Err(error));
                    return;
                }
            },
        };
        for line in input.lines() {
            let last = line.is_err();
            if sender.send(line).is_err() || last {
                break;
            }
            // Full: the other side has enough to wake up for.
            let _ = waker.as_mut().map(|waker| waker.write(&[0]));
        }
    };
    let thread = thread::Builder::new().name("panal-feed".into()).spawn(read);
    thread.map_err(failed)?;
    Ok(receiver)
}
