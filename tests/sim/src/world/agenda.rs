//! The agenda: the future events in the order of time, and in the order of scheduling where times are equal.

use std::{cmp::Reverse, collections::BinaryHeap};

/// A queue by time. The heap moves its items, so they are small, and the events are kept beside it.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    /// The time and the number of the event in one integer; and the place of the event.
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    events: Vec<Option<E>>,
    /// The places of events that have happened.
    free: Vec<u32>,
    scheduled: u64,
}

impl<E> Agenda<E> {
    pub(crate) fn new() -> Agenda<E> {
        Agenda {
            heap: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            scheduled: 0,
        }
    }

    pub(crate) fn add(&mut self, time: u64, event: E) {
        self.scheduled += 1;
        let bounds = time | self.scheduled;
        assert!(bounds < 1 << 32, "an hour of simulated time, and no more");
        let place = match self.free.pop() {
            Some(place) => {
                self.events[place as usize] = Some(event);
                place
            }
            None => {
                self.events.push(Some(event));
                self.events.len() as u32 - 1
            }
        };
        self.heap
            .push(Reverse((time << 32 | self.scheduled, place)));
    }

    /// Gives the next event, if it is not after `until`: its time, its number, and the event.
    pub(crate) fn next(&mut self, until: u64) -> Option<(u64, u64, E)> {
        let &Reverse((when, _)) = self.heap.peek()?;
        let (time, order) = (when >> 32, when & 0xffff_ffff);
        if time > until {
            return None;
        }
        let Reverse((_, place)) = self.heap.pop()?;
        self.free.push(place);
        let event = self.events[place as usize].take()?;
        Some((time, order, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_by_the_order_in_which_they_were_added() {
        let mut agenda = Agenda::new();
        agenda.add(5, "c");
        agenda.add(3, "a");
        agenda.add(3, "b");
        assert_eq!(agenda.next(2), None);
        assert_eq!(agenda.next(4), Some((3, 2, "a")));
        agenda.add(9, "d");
        let rest: Vec<_> = std::iter::from_fn(|| agenda.next(9)).collect();
        assert_eq!(rest, [(3, 3, "b"), (5, 1, "c"), (9, 4, "d")]);
        assert!(agenda.events.len() <= 3, "places are used again");
    }
}
