//! Which consumer owns which shard: evenly, and with the fewest moves.

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
    let mut moved = Vec::new();
    let mut free = Vec::new();
    for (shard, owner) in Shard::all().zip(owners.iter()) {
        let quota = owner.and_then(|owner| quotas.iter_mut().find(|(member, _)| *member == owner));
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

/// Gives a shard to another consumer, in exchange for the next one that belongs to any of `to`: so a consumer that is
/// taken for dead is tried with another shard, and no chat is left with it. Returns the shards that moved, each with
/// its owner before; none if there is nobody to exchange with.
pub(super) fn exchange(
    owners: &mut Owners,
    shard: Shard,
    to: impl Fn(MemberId) -> bool,
) -> Vec<(Shard, Option<MemberId>)> {
    let index = |shard: Shard| usize::from(shard.number());
    let mut following = Shard::all().skip(index(shard) + 1).chain(Shard::all().take(index(shard)));
    let Some(next) = following.find(|next| owners[index(*next)].is_some_and(&to)) else { return Vec::new() };
    owners.swap(index(shard), index(next));
    vec![(shard, owners[index(next)]), (next, owners[index(shard)])]
}

/// How many shards each claim gets. Who owns more already gets the odd ones.
fn quotas(owners: &Owners, claims: &[Claim]) -> Vec<(MemberId, usize)> {
    let all = usize::from(SHARDS);
    let owned = |member| owners.iter().filter(|owner| **owner == Some(member)).count();
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

    #[test]
    fn an_exchange_goes_through_the_others_shards_in_turn_and_keeps_all_counts() {
        let mut owners = [None; SHARDS as usize];
        assign(&mut owners, &claims(&[1, 2, 3]));
        let mut claims = claims(&[1, 2, 3]);
        claims[2].suspended = true;
        assign(&mut owners, &claims);
        let owned = |owners: &Owners| {
            Shard::all().find(|shard| owners[usize::from(shard.number())] == Some(MemberId(3))).unwrap()
        };
        let mut tried = std::collections::BTreeSet::new();
        for _ in 0..SHARDS {
            let shard = owned(&owners);
            tried.insert(shard.number());
            let moved = exchange(&mut owners, shard, |member| member.0 < 3);
            assert_eq!((moved[0], moved.len()), ((shard, Some(MemberId(3))), 2));
            assert_eq!((count(&owners, 1), count(&owners, 2), count(&owners, 3)), (512, 511, 1));
        }
        assert_eq!(tried.len(), usize::from(SHARDS));
        let shard = owned(&owners);
        assert_eq!(exchange(&mut owners, shard, |_| false), []);
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
