//! Where objects are looked for: the running Linux, or the instances of Panal's kernel.

use panal_uapi::{
    Errno,
    inspect::{Inspect, ObjectKind, OpenFlags},
    kernel::{Failure, Fd},
};

use super::words::{Selector, asked};
use crate::{
    args::{KernelName, Where},
    error::Problem,
};

/// A kernel that is asked.
pub struct Place {
    /// Process of the instance; `None` for Linux.
    pub instance: Option<u32>,
    pub kernel: Box<dyn Inspect>,
}

/// An object that was found.
pub struct Found<'p> {
    pub place: &'p Place,
    pub fd: Fd,
}

impl Place {
    /// A failure with the instance that had it.
    pub fn failed(&self, failure: Failure) -> Problem {
        match self.instance {
            Some(pid) => asked(format!("instance {pid}: {failure}")),
            None => asked(failure.to_string()),
        }
    }

    /// An answer for a list; `None` from an instance that has ended meanwhile: the list is without
    /// it then.
    pub fn listed<T>(&self, answer: Result<T, Failure>) -> Result<Option<T>, Problem> {
        // A socket that times out says EAGAIN.
        const ENDED: [Errno; 3] = [Errno::ECONNRESET, Errno::EPIPE, Errno::EAGAIN];
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if self.instance.is_some() && ENDED.contains(&failure.errno) => Ok(None),
            Err(failure) => Err(self.failed(failure)),
        }
    }

    /// Every object of a kind, in order of ids. What vanishes meanwhile is left out.
    pub fn all(&self, kind: ObjectKind) -> Result<Vec<Fd>, Problem> {
        let mut all = Vec::new();
        let mut last = 0;
        while let Some(Some(id)) = self.listed(self.kernel.next_id(kind, last))? {
            let opened = self
                .kernel
                .open_id(kind, id, OpenFlags::RDONLY & flags(kind));
            all.extend(self.listed(opened)?.flatten());
            if id <= last {
                break;
            }
            last = id;
        }
        Ok(all)
    }

    fn matches(&self, kind: ObjectKind, selector: &Selector, fd: &Fd) -> bool {
        match (kind, selector) {
            (ObjectKind::Program, Selector::Name(name)) => self
                .kernel
                .prog_info(fd)
                .is_ok_and(|info| info.name == *name),
            (ObjectKind::Program, Selector::Tag(tag)) => {
                self.kernel.prog_info(fd).is_ok_and(|info| info.tag == *tag)
            }
            (ObjectKind::Map, Selector::Name(name)) => self
                .kernel
                .map_info(fd)
                .is_ok_and(|info| info.name == *name),
            _ => false,
        }
    }

    fn find(
        &self,
        kind: ObjectKind,
        selector: &Selector,
        access: OpenFlags,
    ) -> Result<Vec<Fd>, Problem> {
        let failed = |failure| self.failed(failure);
        match selector {
            Selector::Id(id) => {
                let fd = self.kernel.open_id(kind, *id, access & flags(kind));
                Ok(fd.map_err(failed)?.into_iter().collect())
            }
            Selector::Pinned(path) => {
                let Some(fd) = self.kernel.get_pinned_as(path, access).map_err(failed)? else {
                    return Ok(Vec::new());
                };
                let own = self.kernel.kind_of(&fd).map_err(failed)?;
                match own == kind {
                    true => Ok(vec![fd]),
                    false => Err(asked(format!(
                        "{path}: a {} is pinned there, not a {}",
                        own.name(),
                        kind.name()
                    ))),
                }
            }
            Selector::Name(_) | Selector::Tag(_) => {
                let mut found = Vec::new();
                let mut last = 0;
                while let Some(Some(id)) = self.listed(self.kernel.next_id(kind, last))? {
                    let fd = self.kernel.open_id(kind, id, access & flags(kind));
                    let fd = self.listed(fd)?.flatten();
                    found.extend(fd.filter(|fd| self.matches(kind, selector, fd)));
                    if id <= last {
                        break;
                    }
                    last = id;
                }
                Ok(found)
            }
        }
    }
}

/// Only maps are opened for reading or writing alone.
fn flags(kind: ObjectKind) -> OpenFlags {
    match kind {
        ObjectKind::Map => OpenFlags::all(),
        _ => OpenFlags::empty(),
    }
}

/// The kernels that are asked.
pub struct Places(pub Vec<Place>);

impl Places {
    /// Those that the options name; none when no instance runs.
    pub fn open(asked_for: &Where) -> Result<Places, Problem> {
        if asked_for.kernel == KernelName::Linux {
            if asked_for.instance.is_some() {
                return Err(asked(
                    "--instance chooses among instances of Panal's kernel",
                ));
            }
            let kernel = crate::kernels::linux_to_inspect()?;
            return Ok(Places(vec![Place {
                instance: None,
                kernel,
            }]));
        }
        let instances = crate::instance::running(asked_for.instance)?;
        let places = instances.into_iter().map(|(pid, kernel)| Place {
            instance: Some(pid),
            kernel,
        });
        Ok(Places(places.collect()))
    }

    /// Every object of a kind.
    pub fn all(&self, kind: ObjectKind) -> Result<Vec<Found<'_>>, Problem> {
        let mut all = Vec::new();
        for place in &self.0 {
            let fds = place.all(kind)?;
            all.extend(fds.into_iter().map(|fd| Found { place, fd }));
        }
        Ok(all)
    }

    /// Every object that a selector means; an error when there is none.
    pub fn find(
        &self,
        kind: ObjectKind,
        selector: &Selector,
        access: OpenFlags,
    ) -> Result<Vec<Found<'_>>, Problem> {
        self.need()?;
        let mut found = Vec::new();
        for place in &self.0 {
            let fds = place.find(kind, selector, access)?;
            found.extend(fds.into_iter().map(|fd| Found { place, fd }));
        }
        match found.is_empty() {
            false => Ok(found),
            true => Err(asked(format!("no {} with {selector}: ENOENT", kind.name()))),
        }
    }

    /// The one object that a selector means.
    pub fn one(
        &self,
        kind: ObjectKind,
        selector: &Selector,
        access: OpenFlags,
    ) -> Result<Found<'_>, Problem> {
        let mut found = self.find(kind, selector, access)?;
        match (found.len(), found.pop()) {
            (1, Some(only)) => Ok(only),
            (count, _) => {
                let instances: std::collections::BTreeSet<u32> =
                    found.iter().filter_map(|f| f.place.instance).collect();
                let how = match instances.len() > 1 || (self.0.len() > 1 && count > 1) {
                    true => "choose the instance by --instance PID",
                    false => "choose one by id",
                };
                let kind = kind.name();
                Err(asked(format!("{count} {kind}s with {selector}: {how}")))
            }
        }
    }

    /// The one kernel that makes something new.
    pub fn only(&self) -> Result<&Place, Problem> {
        self.need()?;
        match &self.0[..] {
            [only] => Ok(only),
            several => {
                let pids: Vec<String> = several
                    .iter()
                    .filter_map(|place| place.instance)
                    .map(|pid| pid.to_string())
                    .collect();
                Err(asked(format!(
                    "several instances run ({}): choose one by --instance PID",
                    pids.join(", ")
                )))
            }
        }
    }

    fn need(&self) -> Result<(), Problem> {
        match self.0.is_empty() {
            false => Ok(()),
            true => Err(asked(
                "no instance of Panal's kernel runs: start `panal run` or `panal serve`, or ask \
                 Linux by --kernel linux",
            )),
        }
    }
}
