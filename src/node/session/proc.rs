//! What the kernel tells of this process, read when INFO asks.

use std::fs;

/// Clock ticks per second in `/proc`: fixed by the kernel's interface, whatever its own rate.
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub resident: u64,
    pub resident_peak: u64,
    pub system: u64,
}

/// Seconds of CPU time of all threads, or of one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuSeconds {
    pub user: f64,
    pub system: f64,
    /// Of processes that this one started and waited for.
    pub children_user: f64,
    pub children_system: f64,
}

/// What cannot be read is 0: INFO must not fail for it.
pub fn memory() -> Memory {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Memory {
        resident: kilobytes(&status, "VmRSS:"),
        resident_peak: kilobytes(&status, "VmHWM:"),
        system: kilobytes(&meminfo, "MemTotal:"),
    }
}

fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

pub fn cpu_seconds() -> CpuSeconds {
    parse_cpu_seconds(&fs::read_to_string("/proc/self/stat").unwrap_or_default())
}

/// Of the calling thread alone.
pub fn thread_cpu_seconds() -> CpuSeconds {
    parse_cpu_seconds(&fs::read_to_string("/proc/thread-self/stat").unwrap_or_default())
}

/// The second field may hold anything, so counting starts behind its closing parenthesis.
fn parse_cpu_seconds(stat: &str) -> CpuSeconds {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let seconds = |position: usize| {
        let ticks = fields.split_whitespace().nth(position).and_then(|field| field.parse().ok());
        ticks.unwrap_or(0.0) / TICKS_PER_SECOND
    };
    // utime, stime, cutime and cstime are fields 14 to 17 of the line, 12 to 15 from here.
    CpuSeconds {
        user: seconds(11),
        system: seconds(12),
        children_user: seconds(13),
        children_system: seconds(14),
    }
}

/// Name and release of the kernel, and the architecture.
pub fn operating_system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {} {}", release.trim(), std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_process_name() {
        let stat = "7 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 250 50 30 10 20";
        let cpu = parse_cpu_seconds(stat);
        assert_eq!((cpu.user, cpu.system), (2.5, 0.5));
        assert_eq!((cpu.children_user, cpu.children_system), (0.3, 0.1));
        let cpu = parse_cpu_seconds("");
        assert_eq!((cpu.user, cpu.system), (0.0, 0.0));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(kilobytes("VmPeak:\t 5 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), 12 * 1024);
        assert_eq!(kilobytes("", "VmRSS:"), 0);
        let memory = memory();
        assert!(memory.resident > 0 && memory.resident <= memory.resident_peak);
        assert!(memory.system > memory.resident);
    }
}
