//! Which role runs on which CPU. Pure: the CPUs and the wishes come in, a [`Layout`] comes out.
//!
//! A node has one raft role, one apply role and one or more net roles. Each core of the layout is
//! one executor with one or more of them. With three or more CPUs each role has its own; with fewer
//! all share one, because waking a parked executor of another core costs more than the work that
//! would move there. Cores are pinned when the node has its CPUs to itself or was told which to
//! use.

use std::fmt;

use crate::config::{LayoutStyle, PlacementRequest};
use crate::raft::types::Stream;

/// Net roles taken without being asked for. A few keep one apply role busy.
const NET_CORES_DEFAULT_MAX: usize = 8;

/// Net roles that can be asked for: each has a stream in the log and mailboxes to all others.
pub const NET_CORES_MAX: usize = 64;

/// From this many CPUs on each role has its own.
const SPLIT_CORES_MIN: usize = 3;

/// The executors of a node.
///
/// Invariants: raft and apply stand on one core each; net roles are numbered from 0 without a gap;
/// no two cores have the same CPU; no core is without a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub cores: Vec<CorePlan>,
}

/// One executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorePlan {
    /// `None`: wherever the scheduler puts it.
    pub cpu: Option<usize>,
    pub roles: Roles,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// The stream number of the net role that runs here.
    pub net: Option<Stream>,
    pub raft: bool,
    pub apply: bool,
}

/// Why the CPUs do not allow what was asked for; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    #[error("{option} names CPU {cpu}, but this process may run on CPUs {} only", Cpus(.available))]
    NotAvailable { option: &'static str, cpu: usize, available: Vec<usize> },
    #[error(
        "--cores {asked} is more than there is: this process may run on {} CPUs ({})",
        .available.len(),
        Cpus(.available)
    )]
    TooFew { asked: usize, available: Vec<usize> },
    #[error("--layout split has three roles to separate; --cores {0} is too few for it")]
    SplitNeedsThree(usize),
    #[error(
        "--cores and --layout choose CPUs by number, --raft-core, --apply-core and --net-cores by \
         name; use one way"
    )]
    TwoWays,
    #[error("this process may run on no CPU at all")]
    NoCpu,
}

/// Displays CPU numbers as options take them.
struct Cpus<'a>(&'a [usize]);

/// Precondition: `available` is in ascending order, each CPU once.
pub fn plan(available: &[usize], request: &PlacementRequest) -> Result<Layout, PlacementError> {
    if available.is_empty() {
        return Err(PlacementError::NoCpu);
    }
    let by_name = request.raft_core.is_some()
        || request.apply_core.is_some()
        || !request.net_cores.is_empty();
    let layout = if by_name { named(available, request)? } else { counted(available, request)? };
    layout.check();
    Ok(layout)
}

/// Each role where it was asked to be; roles that were not named take free CPUs, or fold.
fn named(available: &[usize], request: &PlacementRequest) -> Result<Layout, PlacementError> {
    if request.cores_max.is_some() || request.style != LayoutStyle::Auto {
        return Err(PlacementError::TwoWays);
    }
    let choices = (request.raft_core.iter().map(|cpu| ("--raft-core", *cpu)))
        .chain(request.apply_core.iter().map(|cpu| ("--apply-core", *cpu)))
        .chain(request.net_cores.iter().map(|cpu| ("--net-cores", *cpu)));
    let mut taken = Vec::new();
    for (option, cpu) in choices {
        if !available.contains(&cpu) {
            return Err(PlacementError::NotAvailable {
                option,
                cpu,
                available: available.to_vec(),
            });
        }
        taken.push(cpu);
    }
    // Invariant: at least one role is named, so a role that finds no free CPU has one to share.
    let shared = taken[0];
    let mut free = available.iter().copied().filter(|cpu| !taken.contains(cpu));
    let raft = request.raft_core.or_else(|| free.next()).unwrap_or(shared);
    let apply = request.apply_core.or_else(|| free.next()).unwrap_or(shared);
    let nets = match request.net_cores.as_slice() {
        [] => match free.take(NET_CORES_DEFAULT_MAX).collect::<Vec<_>>() {
            free if free.is_empty() => vec![shared],
            free => free,
        },
        named => named.to_vec(),
    };
    Ok(pinned(raft, apply, &nets))
}

/// As many cores as are useful, allowed and there.
fn counted(available: &[usize], request: &PlacementRequest) -> Result<Layout, PlacementError> {
    let usable = match request.cores_max {
        Some(asked) if asked > available.len() => {
            return Err(PlacementError::TooFew { asked, available: available.to_vec() });
        }
        Some(asked) => &available[..asked],
        None => available,
    };
    let enough = usable.len() >= SPLIT_CORES_MIN;
    match request.style {
        LayoutStyle::Folded => Ok(folded(request.cores_max.map(|_| usable[0]))),
        LayoutStyle::Auto if !enough => Ok(folded(request.cores_max.map(|_| usable[0]))),
        LayoutStyle::Split if !enough => match request.cores_max {
            Some(asked) => Err(PlacementError::SplitNeedsThree(asked)),
            None => Ok(split_unpinned()),
        },
        LayoutStyle::Auto | LayoutStyle::Split => {
            let nets_max = match request.cores_max {
                Some(_) => NET_CORES_MAX,
                None => NET_CORES_DEFAULT_MAX,
            };
            let nets = &usable[2..];
            Ok(pinned(usable[0], usable[1], &nets[..nets.len().min(nets_max)]))
        }
    }
}

fn folded(cpu: Option<usize>) -> Layout {
    let roles = Roles { net: Some(0), raft: true, apply: true };
    Layout { cores: vec![CorePlan { cpu, roles }] }
}

fn split_unpinned() -> Layout {
    let roles = [
        Roles { raft: true, ..Roles::default() },
        Roles { apply: true, ..Roles::default() },
        Roles { net: Some(0), ..Roles::default() },
    ];
    Layout { cores: roles.map(|roles| CorePlan { cpu: None, roles }).to_vec() }
}

/// Roles with the same CPU share an executor.
fn pinned(raft: usize, apply: usize, nets: &[usize]) -> Layout {
    let mut cores: Vec<CorePlan> = Vec::new();
    let mut on = |cpu: usize, add: &dyn Fn(&mut Roles)| {
        let position = cores.iter().position(|core| core.cpu == Some(cpu)).unwrap_or_else(|| {
            cores.push(CorePlan { cpu: Some(cpu), roles: Roles::default() });
            cores.len() - 1
        });
        add(&mut cores[position].roles);
    };
    on(raft, &|roles| roles.raft = true);
    on(apply, &|roles| roles.apply = true);
    for (stream, cpu) in nets.iter().enumerate() {
        let stream = Stream::try_from(stream).expect("invariant: NET_CORES_MAX fits a stream");
        on(*cpu, &|roles| roles.net = Some(stream));
    }
    Layout { cores }
}

impl Layout {
    /// The net roles, which are numbered from 0.
    pub fn net_count(&self) -> usize {
        self.cores.iter().filter(|core| core.roles.net.is_some()).count()
    }

    fn check(&self) {
        let count =
            |has: fn(&Roles) -> bool| self.cores.iter().filter(|core| has(&core.roles)).count();
        assert!(count(|roles| roles.raft) == 1);
        assert!(count(|roles| roles.apply) == 1);
        assert!(self.net_count() >= 1);
        assert!(count(|roles| *roles == Roles::default()) == 0);
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, core) in self.cores.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            core.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for CorePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cpu {
            Some(cpu) => write!(f, "cpu {cpu}:")?,
            None => f.write_str("any cpu:")?,
        }
        if let Some(stream) = self.roles.net {
            write!(f, " net{stream}")?;
        }
        if self.roles.raft {
            f.write_str(" raft")?;
        }
        if self.roles.apply {
            f.write_str(" apply")?;
        }
        Ok(())
    }
}

impl fmt::Display for Cpus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(&first) = rest.first() {
            let run = rest.iter().zip(first..).take_while(|(cpu, next)| **cpu == *next).count();
            match run {
                1 => write!(f, "{first}")?,
                _ => write!(f, "{first}-{}", first + run - 1)?,
            }
            rest = &rest[run..];
            if !rest.is_empty() {
                f.write_str(",")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(count: usize) -> Vec<usize> {
        (0..count).collect()
    }

    fn check(available: &[usize], request: &PlacementRequest, expected: &str) {
        let shown = match plan(available, request) {
            Ok(layout) => layout.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{request:?} on {available:?}");
    }

    fn by_name(raft: Option<usize>, apply: Option<usize>, nets: &[usize]) -> PlacementRequest {
        PlacementRequest {
            raft_core: raft,
            apply_core: apply,
            net_cores: nets.to_vec(),
            ..PlacementRequest::default()
        }
    }

    fn by_count(cores_max: Option<usize>, style: LayoutStyle) -> PlacementRequest {
        PlacementRequest { cores_max, style, ..PlacementRequest::default() }
    }

    #[test]
    fn roles_share_a_core_until_there_are_three_cpus() {
        let auto = PlacementRequest::default();
        check(&cpus(1), &auto, "any cpu: net0 raft apply");
        check(&cpus(2), &auto, "any cpu: net0 raft apply");
        check(&cpus(3), &auto, "cpu 0: raft, cpu 1: apply, cpu 2: net0");
        check(&[4, 6, 9, 11], &auto, "cpu 4: raft, cpu 6: apply, cpu 9: net0, cpu 11: net1");
    }

    #[test]
    fn net_roles_are_capped_unless_cores_asks_for_more() {
        let layout = plan(&cpus(64), &PlacementRequest::default()).unwrap();
        assert_eq!(layout.net_count(), NET_CORES_DEFAULT_MAX);
        let layout = plan(&cpus(64), &by_count(Some(20), LayoutStyle::Auto)).unwrap();
        assert_eq!(layout.net_count(), 18);
    }

    #[test]
    fn cores_limits_and_pins() {
        let auto = LayoutStyle::Auto;
        check(&cpus(8), &by_count(Some(1), auto), "cpu 0: net0 raft apply");
        check(&cpus(8), &by_count(Some(2), auto), "cpu 0: net0 raft apply");
        check(&cpus(8), &by_count(Some(3), auto), "cpu 0: raft, cpu 1: apply, cpu 2: net0");
        check(
            &cpus(2),
            &by_count(Some(8), auto),
            "--cores 8 is more than there is: this process may run on 2 CPUs (0-1)",
        );
    }

    #[test]
    fn layout_overrides_what_the_number_of_cpus_suggests() {
        let split = LayoutStyle::Split;
        check(&cpus(8), &by_count(None, LayoutStyle::Folded), "any cpu: net0 raft apply");
        check(&cpus(2), &by_count(None, split), "any cpu: raft, any cpu: apply, any cpu: net0");
        check(&cpus(3), &by_count(None, split), "cpu 0: raft, cpu 1: apply, cpu 2: net0");
        check(
            &cpus(8),
            &by_count(Some(2), split),
            "--layout split has three roles to separate; --cores 2 is too few for it",
        );
    }

    #[test]
    fn named_cpus_are_taken_and_the_same_name_shares_a_core() {
        check(
            &cpus(4),
            &by_name(Some(2), Some(3), &[0, 1]),
            "cpu 2: raft, cpu 3: apply, cpu 0: net0, cpu 1: net1",
        );
        check(&cpus(2), &by_name(Some(0), Some(1), &[0, 1]), "cpu 0: net0 raft, cpu 1: net1 apply");
        check(&cpus(2), &by_name(Some(1), Some(1), &[1]), "cpu 1: net0 raft apply");
    }

    #[test]
    fn roles_without_a_name_take_free_cpus_and_fold_when_there_is_none() {
        check(
            &cpus(5),
            &by_name(Some(2), None, &[]),
            "cpu 2: raft, cpu 0: apply, cpu 1: net0, cpu 3: net1, cpu 4: net2",
        );
        check(&cpus(2), &by_name(Some(1), None, &[]), "cpu 1: net0 raft, cpu 0: apply");
        check(&cpus(1), &by_name(None, None, &[0]), "cpu 0: net0 raft apply");
    }

    #[test]
    fn a_cpu_that_is_not_ours_is_refused_with_those_that_are() {
        check(
            &[0, 1, 2, 5],
            &by_name(Some(1), Some(3), &[0]),
            "--apply-core names CPU 3, but this process may run on CPUs 0-2,5 only",
        );
        check(
            &cpus(1),
            &by_name(None, None, &[0, 1]),
            "--net-cores names CPU 1, but this process may run on CPUs 0 only",
        );
    }

    #[test]
    fn counting_and_naming_cpus_exclude_each_other() {
        let request = PlacementRequest { cores_max: Some(1), ..by_name(Some(0), None, &[]) };
        assert_eq!(plan(&cpus(4), &request), Err(PlacementError::TwoWays));
        let request = PlacementRequest { style: LayoutStyle::Split, ..by_name(Some(0), None, &[]) };
        assert_eq!(plan(&cpus(4), &request), Err(PlacementError::TwoWays));
    }

    #[test]
    fn every_request_gives_a_layout_that_keeps_the_invariants() {
        for count in 1..80 {
            for cores_max in [None, Some(1), Some(2), Some(3), Some(count)] {
                for style in [LayoutStyle::Auto, LayoutStyle::Folded, LayoutStyle::Split] {
                    let Ok(layout) = plan(&cpus(count), &by_count(cores_max, style)) else {
                        continue;
                    };
                    let mut streams: Vec<_> =
                        layout.cores.iter().filter_map(|core| core.roles.net).collect();
                    streams.sort_unstable();
                    assert_eq!(streams, (0..layout.net_count() as Stream).collect::<Vec<_>>());
                    let mut used: Vec<_> =
                        layout.cores.iter().filter_map(|core| core.cpu).collect();
                    let named = used.len();
                    used.sort_unstable();
                    used.dedup();
                    assert_eq!(used.len(), named);
                }
            }
        }
    }
}
