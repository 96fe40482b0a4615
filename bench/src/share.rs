//! The share of a CPU that Lambda gives a function with so much memory, by means of cgroups.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The memory at which Lambda gives one whole vCPU, in MB; below it is less in proportion.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const MEMORY_OF_ONE_CPU: u64 = 1_769;
/// How long Lambda is believed to let a function wait at most when it has used its share, in µs. AWS does not say.
const PERIOD: u64 = 20_000;
/// The least that Linux takes for a quota, in µs.
const LEAST_QUOTA: u64 = 1_000;

/// A group of processes that have this share together. It is removed when this is dropped.
pub(crate) struct Share {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Share {
    /// # Errors
    ///
    /// There are no cgroups here, or they are not ours to make.
    pub(crate) fn of_memory(megabytes: u64) -> io::Result<Share> {
        let (parent, version) = parent()?;
        let folder = parent.join(format!("cold-start-{}-{megabytes}", std::process::id()));
        fs::create_dir(&folder)?;
        let share = Share { folder, version };
        let quota = quota(megabytes);
        match version {
            Version::One => {
                share.write("cpu.cfs_period_us", &PERIOD.to_string())?;
                share.write("cpu.cfs_quota_us", &quota.to_string())?;
            }
            Version::Two => share.write("cpu.max", &format!("{quota} {PERIOD}"))?,
        }
        Ok(share)
    }

    pub(crate) fn take_in(&self, process: u32) -> io::Result<()> {
        self.write("cgroup.procs", &process.to_string())
    }

    /// Takes in the thread that calls, and with it the processes that it starts.
    ///
    /// # Errors
    ///
    /// Version 2 takes whole processes only: this one would be slowed down with what it measures.
    pub(crate) fn take_in_this_thread(&self) -> io::Result<()> {
        match self.version {
            Version::One => self.write("tasks", "0"),
            Version::Two => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a process cannot be started with a share by cgroups of version 2",
            )),
        }
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.folder.join(file), value)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // What is left of it is an empty group.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Where a group of our own may be.
fn parent() -> io::Result<(PathBuf, Version)> {
    let ours = fs::read_to_string("/proc/self/cgroup")?;
    let one = Path::new("/sys/fs/cgroup/cpu");
    if one.join("cpu.cfs_quota_us").exists() || one.join("cgroup.procs").exists() {
        let ours = one.join(group(&ours, "cpu").unwrap_or_default());
        // In a container the path is the one outside it.
        return Ok((if ours.is_dir() { ours } else { one.to_owned() }, Version::One));
    }
    let two = Path::new("/sys/fs/cgroup");
    if two.join("cgroup.controllers").exists() {
        // Beside our own group: one with processes in it may have none below it.
        let ours = two.join(group(&ours, "").unwrap_or_default());
        return Ok((ours.parent().filter(|_| ours != two).unwrap_or(two).to_owned(), Version::Two));
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "there are no cgroups for the CPU"))
}

/// The path of our group in what `/proc/self/cgroup` says: lines of number, controllers, path.
fn group<'a>(text: &'a str, controller: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|one| one == controller).then_some(path.trim_start_matches('/'))
    })
}

/// How long a function may run in each period, in µs.
fn quota(megabytes: u64) -> u64 {
    (PERIOD * megabytes / MEMORY_OF_ONE_CPU).max(LEAST_QUOTA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_runs_for_as_much_of_a_period_as_its_memory_is_of_that_of_one_cpu() {
        assert_eq!([128, 256, 512, 1_769, 3_538].map(quota), [1_447, 2_894, 5_788, 20_000, 40_000]);
    }

    #[test]
    fn no_quota_is_less_than_linux_takes() {
        assert_eq!(quota(1), 1_000);
    }

    #[test]
    fn our_group_is_found_by_its_controller_alone() {
        let one = "4:memory:/a\n3:cpu,cpuacct:/b/c\n2:cpuset:/d\n0::/e\n";
        assert_eq!((group(one, "cpu"), group(one, ""), group(one, "cpus")), (Some("b/c"), Some("e"), None));
    }
}
