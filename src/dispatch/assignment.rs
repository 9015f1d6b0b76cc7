//! Which consumer owns which shard: evenly, and with the fewest moves.

use std::collections::HashMap;

use super::members::MemberId;
use crate::model::{SHARDS, Shard};

/// A consumer's claim to shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// Whose.
    pub(super) member: MemberId,
    /// Whether it is taken for dead: it keeps one shard at most while there are others.
    pub(super) suspended: bool,
}

/// The owner of each shard.
pub(super) type Owners = [Option<MemberId>; SHARDS as usize];

/// Assigns all shards to the claims, changing as little of `owners` as evenness allows. Returns the shards that moved,
/// each with its owner before.
pub(super) fn assign(owners: &mut Owners, claims: &[Claim]) -> Vec<(Shard, Option<MemberId>)> {
    let mut quotas = quotas(owners, claims);
    // Looked up by member: a crowd that comes and goes in a loop must not cost each time members times shards.
    let place: HashMap<_, _> = quotas.iter().enumerate().map(|(at, &(member, _))| (member, at)).collect();
    let mut moved = Vec::new();
    let mut free = Vec::new();
    for (shard, owner) in Shard::all().zip(owners.iter()) {
        let quota = owner.and_then(|owner| quotas.get_mut(*place.get(&owner)?));
        match quota {
            Some((_, left)) if *left > 0 => *left -= 1,
            _ => free.push((shard, *owner)),
        }
    }
    let mut takers = quotas.iter().flat_map(|&(member, left)| std::iter::repeat_n(member, left));
    for (shard, before) in free {
        let after = takers.next();
        if before != after {
            owners[usize::from(shard.number())] = after;
            moved.push((shard, before));
        }
    }
    moved
}

/// How many shards each claim gets. Who owns more already gets the odd ones.
fn quotas(owners: &Owners, claims: &[Claim]) -> Vec<(MemberId, usize)> {
    let all = usize::from(SHARDS);
    let mut counts = HashMap::new();
    for owner in owners.iter().flatten() {
        *counts.entry(*owner).or_insert(0_usize) += 1;
    }
    let owned = |member| counts.get(&member).copied().unwrap_or(0);
    let (mut alive, mut suspended): (Vec<_>, Vec<_>) =
        claims.iter().map(|claim| (claim.member, claim.suspended, owned(claim.member))).partition(|c| !c.1);
    if alive.is_empty() {
        std::mem::swap(&mut alive, &mut suspended);
    }
    alive.sort_by_key(|&(member, _, owned)| (std::cmp::Reverse(owned), member));
    let probes = suspended.len().min(all.saturating_sub(alive.len()));
    let (share, odd) = match alive.len() {
        0 => (0, 0),
        n => ((all - probes) / n, (all - probes) % n),
    };
    let alive = alive.iter().enumerate().map(|(i, &(member, ..))| (member, share + usize::from(i < odd)));
    let suspended = suspended.iter().enumerate().map(|(i, &(member, ..))| (member, usize::from(i < probes)));
    alive.chain(suspended).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claims(members: &[u64]) -> Vec<Claim> {
        members.iter().map(|&id| Claim { member: MemberId(id), suspended: false }).collect()
    }

    fn count(owners: &Owners, member: u64) -> usize {
        owners.iter().filter(|owner| **owner == Some(MemberId(member))).count()
    }

    #[test]
    fn a_joining_consumer_takes_only_its_share() {
        let mut owners = [None; SHARDS as usize];
        assert_eq!(assign(&mut owners, &claims(&[1])).len(), 1024);
        let moved = assign(&mut owners, &claims(&[1, 2]));
        assert_eq!(moved.len(), 512);
        assert!(moved.iter().all(|(_, before)| *before == Some(MemberId(1))));
        assert_eq!(assign(&mut owners, &claims(&[1, 2, 3])).len(), 341);
        assert_eq!((count(&owners, 1), count(&owners, 2), count(&owners, 3)), (342, 341, 341));
    }

    #[test]
    fn a_leaving_consumers_shards_spread_over_the_others() {
        let mut owners = [None; SHARDS as usize];
        assign(&mut owners, &claims(&[1, 2, 3]));
        let moved = assign(&mut owners, &claims(&[1, 3]));
        assert!(moved.iter().all(|(_, before)| *before == Some(MemberId(2))));
        assert_eq!((count(&owners, 1), count(&owners, 3)), (512, 512));
        assert_eq!(assign(&mut owners, &[]).len(), 1024);
    }

    #[test]
    fn a_suspended_consumer_keeps_one_shard_unless_it_is_the_only_one() {
        let mut owners = [None; SHARDS as usize];
        assign(&mut owners, &claims(&[1, 2]));
        let mut both = claims(&[1, 2]);
        both[0].suspended = true;
        assign(&mut owners, &both);
        assert_eq!((count(&owners, 1), count(&owners, 2)), (1, 1023));
        assign(&mut owners, &both[..1]);
        assert_eq!(count(&owners, 1), 1024);
    }

    proptest! {
        #[test]
        fn shards_are_even_whoever_comes_and_goes(
            rounds in prop::collection::vec(prop::collection::btree_set(0u64..1500, 1..40), 1..8),
        ) {
            let mut owners = [None; SHARDS as usize];
            for members in rounds {
                let before = owners;
                let moved = assign(&mut owners, &claims(&members.iter().copied().collect::<Vec<_>>()));
                let counts: Vec<_> = members.iter().map(|&member| count(&owners, member)).collect();
                let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                prop_assert!(most - least <= 1 && counts.iter().sum::<usize>() == 1024);
                // Nothing moves to a consumer that gives something up: no needless moves.
                for (shard, was) in &moved {
                    prop_assert_eq!(before[usize::from(shard.number())], *was);
                    let now = owners[usize::from(shard.number())];
                    prop_assert!(now.is_none_or(|now| moved.iter().all(|(_, was)| *was != Some(now))));
                }
            }
        }
    }
}
