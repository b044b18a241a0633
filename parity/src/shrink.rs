//! Shrinks a program while something about it stays true: drops parts, unwraps nests.

use crate::program::{Item, Program};

/// The smallest program found for which `holds` is true, starting from one for which it is.
pub fn shrink(program: &Program, holds: &mut dyn FnMut(&Program) -> bool) -> Program {
    let mut best = program.clone();
    loop {
        let mut better = None;
        for candidate in smaller(&best) {
            if holds(&candidate) {
                better = Some(candidate);
                break;
            }
        }
        match better {
            Some(program) => best = program,
            None => return best,
        }
    }
}

/// Every program that is one step smaller.
fn smaller(program: &Program) -> Vec<Program> {
    let mut found = Vec::new();
    for function in 0..program.functions.len() {
        for items in variants(&program.functions[function]) {
            let mut next = program.clone();
            next.functions[function] = items;
            found.push(next);
        }
    }
    let called = |index: usize, items: &[Item]| mentions(items, index);
    let last = program.functions.len() - 1;
    if last > 0 && !program.functions.iter().any(|f| called(last, f)) {
        let mut next = program.clone();
        next.functions.pop();
        next.roles.pop();
        found.insert(0, next);
    }
    found
}

fn mentions(items: &[Item], function: usize) -> bool {
    items.iter().any(|item| match item {
        Item::Call(f) | Item::Function { function: f, .. } => *f == function,
        Item::If {
            then, otherwise, ..
        } => mentions(then, function) || mentions(otherwise, function),
        Item::Loop { body, .. } | Item::MayLoop { body, .. } | Item::Iterate { body, .. } => {
            mentions(body, function)
        }
        Item::Group(parts) | Item::Whole(parts) => mentions(parts, function),
        _ => false,
    })
}

/// Lists with one part less, or one part simpler.
fn variants(items: &[Item]) -> Vec<Vec<Item>> {
    let mut found = Vec::new();
    // Halves first: big steps.
    if items.len() > 3 {
        let middle = items.len() / 2;
        found.push(items[middle..].to_vec());
        found.push(items[..middle].to_vec());
    }
    for at in 0..items.len() {
        let mut without = items.to_vec();
        without.remove(at);
        found.push(without);
    }
    for (at, item) in items.iter().enumerate() {
        for simpler in simpler(item) {
            let mut next = items.to_vec();
            next.splice(at..=at, simpler);
            found.push(next);
        }
    }
    found
}

/// What a part can be replaced by.
fn simpler(item: &Item) -> Vec<Vec<Item>> {
    match item {
        Item::If {
            test,
            then,
            otherwise,
        } => {
            let mut found = vec![then.clone(), otherwise.clone()];
            for then in variants(then) {
                let otherwise = otherwise.clone();
                found.push(vec![Item::If {
                    test: *test,
                    then,
                    otherwise,
                }]);
            }
            for otherwise in variants(otherwise) {
                let then = then.clone();
                found.push(vec![Item::If {
                    test: *test,
                    then,
                    otherwise,
                }]);
            }
            found
        }
        Item::Loop {
            counter,
            times,
            body,
        } => {
            let with = |times: i32, body: Vec<Item>| {
                vec![Item::Loop {
                    counter: *counter,
                    times,
                    body,
                }]
            };
            let mut found = vec![body.clone()];
            if *times > 1 {
                found.push(with(1, body.clone()));
                found.push(with(times / 2, body.clone()));
            }
            found.extend(variants(body).into_iter().map(|body| with(*times, body)));
            found
        }
        Item::MayLoop {
            counter,
            times,
            body,
        } => {
            let with = |body: Vec<Item>| Item::MayLoop {
                counter: *counter,
                times: *times,
                body,
            };
            repeated(body, with)
        }
        Item::Iterate { slot, times, body } => {
            let with = |body: Vec<Item>| Item::Iterate {
                slot: *slot,
                times: *times,
                body,
            };
            repeated(body, with)
        }
        Item::Group(parts) => {
            let mut found = vec![parts.clone()];
            found.extend(
                variants(parts)
                    .into_iter()
                    .map(|parts| vec![Item::Group(parts)]),
            );
            found
        }
        _ => Vec::new(),
    }
}

/// The body alone, or the same loop around a smaller one.
fn repeated(body: &[Item], with: impl Fn(Vec<Item>) -> Item) -> Vec<Vec<Item>> {
    let smaller = variants(body).into_iter().map(|body| vec![with(body)]);
    std::iter::once(body.to_vec()).chain(smaller).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate;

    #[test]
    fn a_program_shrinks_to_what_matters() {
        // What matters: a lookup in a map.
        let matters = |program: &Program| program.text().lines().any(|l| l.ends_with("call 1"));
        let large = (1..)
            .map(generate::wide)
            .find(|program| matters(program) && program.size() > 60)
            .expect("seeds do not end");
        let small = shrink(&large, &mut |candidate| matters(candidate));
        assert!(matters(&small));
        assert!(small.size() <= 3, "{}", small.text());
    }

    #[test]
    fn what_fits_nothing_smaller_stays() {
        let program = generate::wide(1);
        let same = shrink(&program, &mut |_| false);
        assert_eq!(same.text(), program.text());
    }
}
