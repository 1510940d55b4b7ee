//! A tape of choices, from which everything is generated: a case is made shorter by making its tape shorter.
//!
//! Each choice is a number below a limit, and the less, the simpler what comes of it. What belongs together on the tape is a
//! span, so that a view, an event or a column is cut out whole; a list asks before each element whether there is
//! [one more](Choices::more), and is one element shorter where question and element are cut out.

use std::ops::Range;

/// What was chosen, and what belongs together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tape {
    pub choices: Vec<u64>,
    pub spans: Vec<Range<usize>>,
}

/// Choices as they are made: drawn by a seed, or taken from a tape. After its end, each is 0.
#[derive(Clone, Debug)]
pub struct Choices {
    given: Option<Vec<u64>>,
    seed: u64,
    tape: Tape,
}

impl Choices {
    pub fn drawn(seed: u64) -> Self {
        Self { given: None, seed, tape: Tape::default() }
    }

    pub fn replayed(choices: &[u64]) -> Self {
        Self { given: Some(choices.to_vec()), seed: 0, tape: Tape::default() }
    }

    /// A number below this one.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = limit.max(1) as u64;
        let next = match &self.given {
            Some(given) => given.get(self.tape.choices.len()).copied().unwrap_or(0).min(limit - 1),
            None => self.next() % limit,
        };
        self.tape.choices.push(next);
        next as usize
    }

    /// One of these, the first being the simplest.
    pub fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// True once in so many times.
    pub fn rarely(&mut self, once_in: usize) -> bool {
        self.below(once_in) + 1 == once_in.max(2)
    }

    /// A list of at least and at most so many.
    pub fn more<T>(&mut self, least: usize, most: usize, mut element: impl FnMut(&mut Self, usize) -> T) -> Vec<T> {
        let mut list = Vec::new();
        loop {
            let start = self.tape.choices.len();
            // Asked in any case, so that whichever element is cut out, the rest is read as it was.
            let wanted = self.below(most - least + 1) > 0;
            if list.len() >= least && (list.len() == most || !wanted) {
                return list;
            }
            list.push(element(self, list.len()));
            self.tape.spans.push(start..self.tape.choices.len());
        }
    }

    /// What was chosen so far.
    pub fn into_tape(self) -> Tape {
        self.tape
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Asked whether these choices fail still: the tapes as they were read, if so.
pub type Fails<'a> = &'a mut dyn FnMut(&[Vec<u64>]) -> Option<Vec<Tape>>;

/// Tapes that are simpler, and fail still; `fails` gives the tapes as they were read where they do. It is asked so often at
/// most.
pub fn shortest(mut tapes: Vec<Tape>, mut attempts: usize, fails: Fails) -> Vec<Tape> {
    loop {
        let before = tapes.clone();
        for which in 0..tapes.len() {
            for pass in [without_spans, with_smaller] {
                pass(&mut tapes, which, &mut |candidate: &[Vec<u64>]| {
                    attempts = attempts.checked_sub(1)?;
                    fails(candidate)
                });
            }
        }
        if attempts == 0 || weight(&tapes) >= weight(&before) {
            return if weight(&tapes) < weight(&before) { tapes } else { before };
        }
    }
}

/// What is less is simpler: first fewer choices, then smaller ones.
fn weight(tapes: &[Tape]) -> (usize, u128) {
    let all = || tapes.iter().flat_map(|tape| &tape.choices);
    (all().count(), all().map(|choice| u128::from(*choice)).sum())
}

/// Takes the candidate where it fails still, and is simpler.
fn tried(tapes: &mut Vec<Tape>, which: usize, choices: Vec<u64>, fails: Fails) -> bool {
    let mut candidate: Vec<Vec<u64>> = tapes.iter().map(|tape| tape.choices.clone()).collect();
    candidate[which] = choices;
    match fails(&candidate) {
        Some(read) if weight(&read) < weight(tapes) => {
            *tapes = read;
            true
        }
        _ => false,
    }
}

/// Cuts spans out, the longest first.
fn without_spans(tapes: &mut Vec<Tape>, which: usize, fails: Fails) {
    let mut tried_before = 0;
    loop {
        let mut spans = tapes[which].spans.clone();
        spans.sort_by_key(|span| std::cmp::Reverse(span.len()));
        let Some(span) = spans.get(tried_before).cloned() else { return };
        let mut choices = tapes[which].choices.clone();
        choices.drain(span);
        if !tried(tapes, which, choices, fails) {
            tried_before += 1;
        }
    }
}

/// Makes one choice after the other smaller: none, half, one less.
fn with_smaller(tapes: &mut Vec<Tape>, which: usize, fails: Fails) {
    let mut at = 0;
    while at < tapes[which].choices.len() {
        let choice = tapes[which].choices[at];
        let smaller = [0, choice / 2, choice.saturating_sub(1)];
        let taken = smaller.into_iter().filter(|smaller| *smaller < choice).any(|smaller| {
            let mut choices = tapes[which].choices.clone();
            choices[at] = smaller;
            tried(tapes, which, choices, fails)
        });
        // What became smaller may become smaller yet.
        if !taken {
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(choices: &mut Choices) -> Vec<usize> {
        choices.more(0, 20, |choices, _| choices.below(1000))
    }

    #[test]
    fn a_tape_gives_what_it_was_made_from() {
        let mut drawn = Choices::drawn(7);
        let first = numbers(&mut drawn);
        let mut replayed = Choices::replayed(&drawn.into_tape().choices);
        assert_eq!(numbers(&mut replayed), first);
        assert!(numbers(&mut Choices::replayed(&[])).is_empty(), "after the end, everything is simple");
    }

    /// The one list that fails and is the simplest, wherever one begins.
    #[test]
    fn what_fails_is_made_short() {
        let fails = |tapes: &[Vec<u64>]| {
            let mut choices = Choices::replayed(&tapes[0]);
            let list = numbers(&mut choices);
            list.iter().any(|n| *n >= 300).then(|| vec![choices.into_tape()])
        };
        let mut begun = 0;
        for seed in 0..50 {
            let mut choices = Choices::drawn(seed);
            numbers(&mut choices);
            let Some(tapes) = fails(&[choices.into_tape().choices]) else { continue };
            begun += 1;
            let shortest = shortest(tapes, 2000, &mut { fails });
            assert_eq!(numbers(&mut Choices::replayed(&shortest[0].choices)), [300], "seed {seed}");
        }
        assert!(begun > 20, "most lists hold such a number");
    }
}
