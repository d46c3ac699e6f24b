use super::*;
use crate::socket::memory::MemoryStream;

fn connection() -> Connection<Stream> {
    Connection::new(Stream::Memory(MemoryStream::default()), true)
}

fn open(table: &mut Table, count: usize) -> Vec<u32> {
    (0..count)
        .map(|_| {
            let slot = table.reserve().expect("there is room");
            table.place_connection(slot, connection());
            slot
        })
        .collect()
}

#[test]
fn a_walk_over_the_connections_costs_what_is_open_and_not_what_once_was() {
    let mut table = Table::new(100_000);
    let slots = open(&mut table, 50_000);
    for slot in &slots[3..] {
        table.vacate(*slot);
    }
    assert!(table.free_vacated(), "the storage shrinks");
    assert_eq!(table.connections(), &slots[..3]);
    assert!(table.slots_end() <= KEPT && table.connections.capacity() <= KEPT);
    assert!(table.vacated.capacity() <= KEPT);
}

#[test]
fn every_connection_stays_in_the_list_whatever_leaves() {
    let mut table = Table::new(1000);
    let mut slots = open(&mut table, 20);
    for leaves in [0, 18, 7, 7, 3] {
        table.vacate(slots.remove(leaves));
        table.free_vacated();
        slots.extend(open(&mut table, 2));
        let mut listed = table.connections().to_vec();
        listed.sort_unstable();
        slots.sort_unstable();
        assert_eq!(listed, slots);
        for (position, slot) in table.connections().iter().enumerate() {
            assert_eq!(table.slots[*slot as usize].meta.position as usize, position);
        }
    }
}

#[test]
fn a_slot_has_another_generation_when_it_is_used_again() {
    let mut table = Table::new(1);
    let slot = open(&mut table, 1)[0];
    let id = table.id(slot);
    assert!(table.is_open(id) && table.reserve().is_none());
    table.vacate(slot);
    assert!(!table.is_open(id) && table.reserve().is_none(), "the slot is free only after the pass");
    table.free_vacated();
    assert_eq!(open(&mut table, 1), [slot]);
    assert!(!table.is_open(id));
}
