//! What memory a process has resident, and how much it once had (proc_pid_status(5)).

use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path} has no {field}")]
    Field { path: PathBuf, field: &'static str },
}

/// In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    pub now: u64,
    /// Since the process started, or since [`forget_peak`].
    pub peak: u64,
}

/// The resident memory of a live process.
pub fn resident(pid: u32) -> Result<Resident, MemoryError> {
    let path = of_process(pid, "status");
    let text = fs::read_to_string(&path)
        .map_err(|source| MemoryError::Io { path: path.clone(), source })?;
    let bytes = |field| {
        field_in_kib(&text, field)
            .map(|kib| kib * 1024)
            .ok_or_else(|| MemoryError::Field { path: path.clone(), field })
    };
    Ok(Resident { now: bytes("VmRSS")?, peak: bytes("VmHWM")? })
}

/// Makes the peak what is resident now.
pub fn forget_peak(pid: u32) -> Result<(), MemoryError> {
    // 5 is the one value of clear_refs that resets the peak and touches no page flags.
    let path = of_process(pid, "clear_refs");
    fs::write(&path, "5").map_err(|source| MemoryError::Io { path, source })
}

fn of_process(pid: u32, file: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(file)
}

fn field_in_kib(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_whole_name() {
        let status = "VmPeak:\t  99 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 12 kB\nThreads:\t1\n";
        assert_eq!(field_in_kib(status, "VmHWM"), Some(1234));
        assert_eq!(field_in_kib(status, "VmRSS"), Some(12));
        assert_eq!(field_in_kib(status, "Vm"), None);
        assert_eq!(field_in_kib(status, "Threads"), None);
    }

    #[test]
    fn a_live_process_has_memory_and_a_dead_one_is_an_error() {
        let Resident { now, peak } = resident(std::process::id()).unwrap();
        assert!(now > 0);
        assert!(peak > 0);
        // Above the largest process id that Linux gives (PID_MAX_LIMIT, 2^22).
        assert!(matches!(resident(1 << 23), Err(MemoryError::Io { .. })));
        assert!(matches!(forget_peak(1 << 23), Err(MemoryError::Io { .. })));
    }
}
