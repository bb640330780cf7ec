//! The few system calls that std does not offer, each behind a safe function, and the one function
//! of C that this program brings itself.
//!
//! With the ring and the socket options this is the only place that speaks to libc.

use std::io;
use std::mem;

/// A limit of this process: what holds now, and how far it may be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub soft: u64,
    pub hard: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum Resource {
    OpenFiles,
    LockedMemory,
}

impl Resource {
    fn number(self) -> libc::__rlimit_resource_t {
        match self {
            Resource::OpenFiles => libc::RLIMIT_NOFILE,
            Resource::LockedMemory => libc::RLIMIT_MEMLOCK,
        }
    }
}

fn result(returned: libc::c_int) -> io::Result<()> {
    if returned == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub fn limit(resource: Resource) -> io::Result<Limit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit, which the call fills.
    result(unsafe { libc::getrlimit(resource.number(), &mut limit) })?;
    Ok(Limit { soft: limit.rlim_cur, hard: limit.rlim_max })
}

pub fn set_limit(resource: Resource, limit: Limit) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
    // SAFETY: the pointer is to a live rlimit, which the call only reads.
    result(unsafe { libc::setrlimit(resource.number(), &limit) })
}

/// The CPUs this process may run on, in ascending order.
pub fn available_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: a cpu_set_t is a plain array of bits, for which all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the pointer is to a live set of the size given; 0 names the calling thread.
    result(unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set), &mut set) })?;
    let cpus = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: every number asked for is below CPU_SETSIZE, the size of the set.
    Ok(cpus.filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect())
}

/// Registers this process for expedited membarriers. Done before there is a second thread it is
/// free; done by the runtime's first park, with its threads running, it takes tens of milliseconds.
pub fn register_membarrier() -> io::Result<()> {
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    // SAFETY: membarrier takes numbers only and touches no memory of ours.
    let returned = unsafe { libc::syscall(libc::SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0, 0) };
    result(returned as libc::c_int)
}

/// Has the kernel kill this process when the thread that started it ends.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number and touches no memory of ours.
    result(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0, 0, 0) })
}

/// Asks a process to stop.
///
/// Precondition: `pid` is a child of this process that has not been waited for, so that the number
/// cannot belong to another process by now.
pub fn terminate(pid: u32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).expect("invariant: process ids are positive integers");
    assert!(pid > 0);
    // SAFETY: kill takes numbers only.
    result(unsafe { libc::kill(pid, libc::SIGTERM) })
}

/// The allocator's number of the setting, which its crate does not name.
const MI_OPTION_PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// For so many milliseconds the allocator holds on to what is freed.
const FREED_MEMORY_KEPT_MS: libc::c_long = 10_000;

/// Has the allocator hold on for longer to what is freed. By default it gives it back after a
/// second: of a log that is filled and emptied all the time, shortly before it is needed again, and
/// then the kernel clears it anew. [`give_memory_back`] does not wait for that.
pub fn keep_freed_memory() {
    // SAFETY: mi_option_set stores a number, and may be called at any time by any thread.
    unsafe { libmimalloc_sys::mi_option_set(MI_OPTION_PURGE_DELAY, FREED_MEMORY_KEPT_MS) }
}

/// Has the allocator give back to the system what is free. Walks over the pages of the calling
/// thread: some milliseconds for gigabytes of small allocations.
pub fn give_memory_back() {
    // SAFETY: mi_collect may be called at any time by any thread; it moves nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

#[test]
fn the_allocator_takes_the_setting() {
    keep_freed_memory();
    // SAFETY: mi_option_get returns a number, and may be called at any time by any thread.
    let kept = unsafe { libmimalloc_sys::mi_option_get(MI_OPTION_PURGE_DELAY) };
    assert_eq!(kept, FREED_MEMORY_KEPT_MS);
    // SAFETY: as before. The option behind this one has another default: the number is right.
    let numa_nodes =
        unsafe { libmimalloc_sys::mi_option_get(libmimalloc_sys::mi_option_use_numa_nodes) };
    assert_eq!(
        (numa_nodes, MI_OPTION_PURGE_DELAY + 1),
        (0, libmimalloc_sys::mi_option_use_numa_nodes)
    );
}

/// C's `pow`, for the operator `^` of Lua, in its compiler too: nodes whose C libraries differ in
/// the last digit of theirs would come to different states by the same script. The linker takes
/// this one for whatever calls `pow` in the program, since a program's own symbol comes first.
// SAFETY: it has the signature and the meaning of C's function, and any two numbers will do.
#[unsafe(no_mangle)]
pub extern "C" fn pow(base: f64, exponent: f64) -> f64 {
    libm::pow(base, exponent)
}
