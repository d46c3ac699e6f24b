//! Sources of the program.

use mio::Interest;

use crate::{Net, Readiness, SourceId, socket::simulated::SimulatedSource};

use super::{
    actor::{Actor, note, require, violate},
    reactor_model::{KnownSource, ReactorModel},
    session::Sessions,
    workload::Action,
};

impl Actor {
    pub(super) fn change_watch(&mut self, action: Action, net: &mut Net<Sessions>) {
        let count = self.model().sources.len();
        if action == Action::Watch || count == 0 {
            let Some(mut source) = SimulatedSource::new() else { return };
            if let Ok(id) = net.watch(&mut source, Interest::READABLE) {
                note!("    the source {id} is watched");
                self.model().sources.push(KnownSource { id, source });
            }
            return self.use_stale_ids(net);
        }
        let index = self.random.below(count);
        let choice = self.random.below(3);
        match action {
            Action::Unwatch if choice == 0 => {
                let KnownSource { id, mut source } = self.model().sources.swap_remove(index);
                net.unwatch(id, &mut source);
                self.model().forget_source(id);
            }
            Action::Unwatch => {
                let KnownSource { id, source } = &mut self.model().sources[index];
                if let Err(error) = net.rewatch(*id, source, Interest::READABLE) {
                    note!("    {id} is not registered again: {error}");
                }
            }
            _ => net.ready_again(self.model().sources[index].id, Readiness::READABLE),
        }
    }

    /// Calls with the id of a source that is not watched any more do nothing, also if another source has its slot.
    fn use_stale_ids(&mut self, net: &mut Net<Sessions>) {
        let ReactorModel { sources, stale_sources, .. } = self.model();
        for stale in stale_sources {
            let Some(known) = sources.iter_mut().find(|known| known.id.slot() == stale.slot()) else {
                continue;
            };
            let was_scheduled = net.engine().is_scheduled(stale.slot());
            net.ready_again(*stale, Readiness::READABLE);
            let is_scheduled = net.engine().is_scheduled(stale.slot());
            require!(was_scheduled == is_scheduled, "ready_again of {stale} concerns {}", known.id);
            let registered = net.rewatch(*stale, &mut known.source, Interest::READABLE);
            require!(registered.is_err(), "rewatch of {stale} has registered {}", known.id);
            net.unwatch(*stale, &mut known.source);
            let is_watched = known.source.is_registered();
            require!(is_watched, "unwatch of {stale} has ended {}", known.id);
        }
    }

    pub(super) fn read_source(&mut self, net: &mut Net<Sessions>, id: SourceId, ready: Readiness) {
        require!(ready != Readiness::default(), "on_ready of {id} says nothing");
        let most = if self.finishes { usize::MAX } else { self.random.size(10) + 1 };
        let Some(known) = self.models[self.current].sources.iter().find(|known| known.id == id) else {
            return violate!("on_ready of {id}, which is not watched");
        };
        if known.source.read(most).is_some() {
            net.ready_again(id, Readiness::READABLE); // there may be more
        }
    }

    /// Something happens at a source.
    pub(super) fn feed_source(&mut self, which: usize) {
        let random = &mut self.random;
        let sources = &self.models[which].sources;
        if !sources.is_empty() {
            let (count, error) = (random.size(30), random.chance(50));
            let known = &sources[random.below(sources.len())];
            note!("the source {} of reactor {which} has {count} more", known.id);
            known.source.feed(count, error);
        }
    }

    /// At rest, everything was read.
    pub(super) fn check_sources(&self) {
        for known in self.models.iter().flat_map(|model| &model.sources) {
            let unread = known.source.unread();
            require!(unread == 0, "the source {} has {unread} that nobody was told of", known.id);
        }
    }

    pub(super) fn unwatch_all(&mut self, which: usize, net: &mut Net<Sessions>) {
        for KnownSource { id, mut source } in self.models[which].sources.drain(..) {
            net.unwatch(id, &mut source);
        }
    }
}
