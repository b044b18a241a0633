//! Places the boxes of a directed graph in layers, so that most arrows point down.
//!
//! The classic four steps: find the arrows that close loops; give every box a layer below all that
//! lead to it; order each layer so that few arrows cross; move boxes sideways towards what they are
//! connected with. Arrows over several layers pass through narrow invisible boxes.

/// Width and height.
pub type Size = (f64, f64);

/// A point: right, down.
pub type Point = (f64, f64);

/// Between boxes of a layer.
const GAP: f64 = 28.0;
/// Between layers.
const LAYER_GAP: f64 = 46.0;
/// Between the lanes of arrows that go back up.
const LANE: f64 = 14.0;
/// Beyond so many invisible boxes long arrows are drawn straight: the picture is unreadable anyway,
/// but it must come to an end.
const MOST_BENDS: usize = 60_000;
const SWEEPS: usize = 6;

/// Where everything goes.
#[derive(Default)]
pub struct Plan {
    /// Upper left corner of each box.
    pub boxes: Vec<Point>,
    /// Points of each arrow.
    pub arrows: Vec<Arrow>,
    pub size: Size,
    /// Boxes that nothing leads to.
    pub unreachable: Vec<bool>,
}

/// One arrow.
pub struct Arrow {
    pub points: Vec<Point>,
    /// It closes a loop: it runs up in a lane on the right.
    pub back: bool,
}

/// A box, or an invisible one on the way of an arrow.
struct Node {
    layer: usize,
    width: f64,
    center: f64,
}

/// Plans a graph whose entry is box 0.
pub fn layered(sizes: &[Size], edges: &[(usize, usize)]) -> Plan {
    let count = sizes.len();
    if count == 0 {
        return Plan::default();
    }
    let mut successors = vec![Vec::new(); count];
    for (index, (from, _)) in edges.iter().enumerate() {
        successors[*from].push(index);
    }
    let (back, reached) = find_loops(count, &successors, edges);
    let layers = layers(count, edges, &back);
    let mut nodes: Vec<Node> = sizes
        .iter()
        .zip(&layers)
        .map(|((width, _), layer)| Node {
            layer: *layer,
            width: *width,
            center: 0.0,
        })
        .collect();
    let chains = chains(&mut nodes, edges, &back);
    let mut rows = rows(&nodes);
    let (up, down) = neighbours(nodes.len(), &chains);
    order(&mut rows, &up, &down);
    straighten(&rows, &mut nodes, &up, &down);
    draw(sizes, edges, &back, &chains, &rows, &nodes, reached)
}

/// For every edge whether it leads back to a box on the way to its start; for every box whether
/// it is reached from box 0.
fn find_loops(
    count: usize,
    successors: &[Vec<usize>],
    edges: &[(usize, usize)],
) -> (Vec<bool>, Vec<bool>) {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        OnTheWay,
        Done,
    }
    let mut marks = vec![Mark::New; count];
    let mut back = vec![false; edges.len()];
    let mut reached = Vec::new();
    for root in 0..count {
        if marks[root] == Mark::New {
            marks[root] = Mark::OnTheWay;
            let mut stack = vec![(root, 0)];
            while let Some((node, next)) = stack.pop() {
                let Some(&edge) = successors[node].get(next) else {
                    marks[node] = Mark::Done;
                    continue;
                };
                stack.push((node, next + 1));
                let to = edges[edge].1;
                match marks[to] {
                    Mark::New => {
                        marks[to] = Mark::OnTheWay;
                        stack.push((to, 0));
                    }
                    Mark::OnTheWay => back[edge] = true,
                    Mark::Done => {}
                }
            }
        }
        if root == 0 {
            reached = marks.iter().map(|mark| *mark != Mark::New).collect();
        }
    }
    (back, reached)
}

/// The longest way from the top to each box.
fn layers(count: usize, edges: &[(usize, usize)], back: &[bool]) -> Vec<usize> {
    let mut waiting = vec![0usize; count];
    let mut successors = vec![Vec::new(); count];
    for ((from, to), _) in edges.iter().zip(back).filter(|(_, back)| !**back) {
        waiting[*to] += 1;
        successors[*from].push(*to);
    }
    let mut ready: Vec<usize> = (0..count).filter(|node| waiting[*node] == 0).collect();
    let mut layers = vec![0; count];
    while let Some(node) = ready.pop() {
        for &to in &successors[node] {
            layers[to] = layers[to].max(layers[node] + 1);
            waiting[to] -= 1;
            if waiting[to] == 0 {
                ready.push(to);
            }
        }
    }
    layers
}

/// For every edge that leads down, the nodes on its way, both ends included. Adds the invisible ones.
fn chains(nodes: &mut Vec<Node>, edges: &[(usize, usize)], back: &[bool]) -> Vec<Vec<usize>> {
    let spans = edges
        .iter()
        .map(|(from, to)| nodes[*to].layer.saturating_sub(nodes[*from].layer));
    let bends: usize = spans.map(|span| span.saturating_sub(1)).sum();
    let straight = bends > MOST_BENDS;
    let mut chains = Vec::with_capacity(edges.len());
    for ((from, to), back) in edges.iter().zip(back) {
        let mut chain = vec![*from];
        if !back && !straight {
            for layer in nodes[*from].layer + 1..nodes[*to].layer {
                chain.push(nodes.len());
                nodes.push(Node {
                    layer,
                    width: 2.0,
                    center: 0.0,
                });
            }
        }
        chain.push(*to);
        chains.push(if *back { Vec::new() } else { chain });
    }
    chains
}

fn rows(nodes: &[Node]) -> Vec<Vec<usize>> {
    let depth = nodes.iter().map(|node| node.layer + 1).max().unwrap_or(0);
    let mut rows = vec![Vec::new(); depth];
    for (index, node) in nodes.iter().enumerate() {
        rows[node.layer].push(index);
    }
    rows
}

type Neighbours = Vec<Vec<usize>>;

/// For every node those above and those below that it is connected with.
fn neighbours(count: usize, chains: &[Vec<usize>]) -> (Neighbours, Neighbours) {
    let (mut up, mut down) = (vec![Vec::new(); count], vec![Vec::new(); count]);
    for pair in chains.iter().flat_map(|chain| chain.windows(2)) {
        if let [above, below] = *pair {
            up[below].push(above);
            down[above].push(below);
        }
    }
    (up, down)
}

/// Orders each layer by the mean place of what its nodes are connected with, down and up in turn.
fn order(rows: &mut [Vec<usize>], up: &Neighbours, down: &Neighbours) {
    let count = up.len();
    let mut place = vec![0.0; count];
    let set = |place: &mut Vec<f64>, row: &[usize]| {
        for (index, node) in row.iter().enumerate() {
            place[*node] = index as f64;
        }
    };
    rows.iter().for_each(|row| set(&mut place, row));
    for sweep in 0..SWEEPS {
        let downwards = sweep % 2 == 0;
        let near = if downwards { up } else { down };
        let depth = rows.len();
        for step in 0..depth {
            let row = &mut rows[if downwards { step } else { depth - 1 - step }];
            let mut keyed: Vec<(f64, usize)> = row
                .iter()
                .map(|node| (mean(&near[*node], &place).unwrap_or(place[*node]), *node))
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            *row = keyed.into_iter().map(|(_, node)| node).collect();
            set(&mut place, row);
        }
    }
}

fn mean(nodes: &[usize], of: &[f64]) -> Option<f64> {
    let sum: f64 = nodes.iter().map(|node| of[*node]).sum();
    (!nodes.is_empty()).then(|| sum / nodes.len() as f64)
}

/// Gives every node its middle: near the mean of its neighbours, without overlap.
fn straighten(rows: &[Vec<usize>], nodes: &mut [Node], up: &Neighbours, down: &Neighbours) {
    for row in rows {
        let mut left = 0.0;
        for node in row {
            nodes[*node].center = left + nodes[*node].width / 2.0;
            left += nodes[*node].width + GAP;
        }
    }
    for sweep in 0..SWEEPS {
        let downwards = sweep % 2 == 0;
        let near = if downwards { up } else { down };
        let depth = rows.len();
        for step in 0..depth {
            let row = &rows[if downwards { step } else { depth - 1 - step }];
            let centers: Vec<f64> = nodes.iter().map(|node| node.center).collect();
            let wanted: Vec<f64> = row
                .iter()
                .map(|node| mean(&near[*node], &centers).unwrap_or(centers[*node]))
                .collect();
            spread(row, nodes, &wanted);
        }
    }
    let left = nodes
        .iter()
        .map(|n| n.center - n.width / 2.0)
        .fold(f64::INFINITY, f64::min);
    for node in nodes {
        node.center -= left;
    }
}

/// Places a layer's nodes at the wanted middles as far as their order and widths allow: half way
/// between the leftmost and the rightmost way to do it.
fn spread(row: &[usize], nodes: &mut [Node], wanted: &[f64]) {
    let apart = |a: usize, b: usize, nodes: &[Node]| (nodes[a].width + nodes[b].width) / 2.0 + GAP;
    let mut right: Vec<f64> = wanted.to_vec();
    for i in 1..row.len() {
        right[i] = right[i].max(right[i - 1] + apart(row[i - 1], row[i], nodes));
    }
    let mut left: Vec<f64> = wanted.to_vec();
    for i in (1..row.len()).rev() {
        left[i - 1] = left[i - 1].min(left[i] - apart(row[i - 1], row[i], nodes));
    }
    for (index, node) in row.iter().enumerate() {
        nodes[*node].center = (left[index] + right[index]) / 2.0;
    }
}

fn draw(
    sizes: &[Size],
    edges: &[(usize, usize)],
    back: &[bool],
    chains: &[Vec<usize>],
    rows: &[Vec<usize>],
    nodes: &[Node],
    reached: Vec<bool>,
) -> Plan {
    let height = |node: usize| sizes.get(node).map_or(0.0, |size| size.1);
    let mut tops = Vec::with_capacity(rows.len());
    let mut bottoms = Vec::with_capacity(rows.len());
    let mut y = LAYER_GAP / 2.0;
    for row in rows {
        let tallest = row.iter().map(|node| height(*node)).fold(0.0, f64::max);
        tops.push(y);
        bottoms.push(y + tallest);
        y += tallest + LAYER_GAP;
    }
    let boxes: Vec<Point> = sizes
        .iter()
        .zip(nodes)
        .map(|((width, _), node)| (node.center - width / 2.0, tops[node.layer]))
        .collect();
    let mut width = nodes
        .iter()
        .map(|n| n.center + n.width / 2.0)
        .fold(0.0, f64::max);
    let bottom_of = |node: usize| (nodes[node].center, tops[nodes[node].layer] + height(node));
    let top_of = |node: usize| (nodes[node].center, tops[nodes[node].layer]);
    let mut arrows = Vec::with_capacity(edges.len());
    for (((from, to), back), chain) in edges.iter().zip(back).zip(chains) {
        let mut points = vec![bottom_of(*from)];
        if *back {
            width += LANE;
            let below = bottoms[nodes[*from].layer] + LAYER_GAP / 4.0;
            let above = tops[nodes[*to].layer] - LAYER_GAP / 4.0;
            points.extend([
                (points[0].0, below),
                (width, below),
                (width, above),
                (nodes[*to].center + 10.0, above),
                (nodes[*to].center + 10.0, tops[nodes[*to].layer]),
            ]);
        } else {
            for node in chain.iter().copied().filter(|node| *node >= sizes.len()) {
                let layer = nodes[node].layer;
                points.extend([
                    (nodes[node].center, tops[layer]),
                    (nodes[node].center, bottoms[layer]),
                ]);
            }
            points.push(top_of(*to));
        }
        arrows.push(Arrow {
            points,
            back: *back,
        });
    }
    let unreachable = reached.iter().map(|reached| !reached).collect();
    Plan {
        boxes,
        arrows,
        size: (width + LANE, y),
        unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every graph of a few boxes in which each box leads to at most two.
    fn graphs(count: usize) -> impl Iterator<Item = Vec<(usize, usize)>> {
        let ways = (count + 1) * (count + 1);
        (0..ways.pow(count as u32)).map(move |mut number| {
            let mut edges = Vec::new();
            for from in 0..count {
                let choice = number % ways;
                number /= ways;
                for to in [choice % (count + 1), choice / (count + 1)] {
                    if to < count {
                        edges.push((from, to));
                    }
                }
            }
            edges
        })
    }

    /// Rounding.
    const E: f64 = 1e-6;

    fn check(sizes: &[Size], edges: &[(usize, usize)]) {
        let plan = layered(sizes, edges);
        assert_eq!(plan.arrows.len(), edges.len());
        let corners = || plan.boxes.iter().zip(sizes);
        for (index, ((ax, ay), (aw, ah))) in corners().enumerate() {
            assert!(*ax >= -E && ax + aw <= plan.size.0 + E && ay + ah <= plan.size.1 + E);
            for ((bx, by), (bw, bh)) in corners().skip(index + 1) {
                let beside = ax + aw <= bx + E || bx + bw <= ax + E;
                let apart = beside || ay + ah <= by + E || by + bh <= ay + E;
                assert!(apart, "boxes overlap: {edges:?}");
            }
        }
        for (arrow, (from, to)) in plan.arrows.iter().zip(edges) {
            let down = plan.boxes[*from].1 < plan.boxes[*to].1;
            assert_eq!(arrow.back, !down, "{from} to {to} of {edges:?}");
            if !arrow.back {
                assert!(arrow.points.windows(2).all(|pair| pair[0].1 <= pair[1].1));
            }
        }
    }

    #[test]
    fn boxes_do_not_overlap_and_arrows_point_down_unless_they_close_a_loop() {
        let sizes = [(120.0, 40.0), (300.0, 200.0), (20.0, 20.0)];
        for count in 1..=3 {
            graphs(count).for_each(|edges| check(&sizes[..count], &edges));
        }
    }

    #[test]
    fn ten_thousand_boxes_come_to_an_end() {
        let sizes = vec![(100.0, 50.0); 10_000];
        let chain = (0..9_999).map(|i| (i, i + 1));
        let long = (0..4_000).map(|i| (i, 9_999 - i));
        let edges: Vec<_> = chain.chain(long).collect();
        let start = std::time::Instant::now();
        layered(&sizes, &edges);
        assert!(start.elapsed().as_secs() < 20);
    }
}
