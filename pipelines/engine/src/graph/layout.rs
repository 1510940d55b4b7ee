//! Places boxes in layers from left to right: a long arrow gets a lane through each layer that it passes, boxes and lanes
//! are ordered so that few arrows cross, then moved to where their arrows are straight (Sugiyama's method).
//!
//! Boxes of one band stay together, and bands do not overlap. The same graph always gives the same picture.

/// A box to be placed.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    pub layer: usize,
    /// From top to bottom.
    pub band: usize,
    pub width: f64,
    pub height: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// A point of an arrow's way.
pub type Point = (f64, f64);

/// Where everything is.
#[derive(Debug, Default)]
pub struct Placed {
    /// By items.
    pub boxes: Vec<Rect>,
    /// By arrows: pairs of points, straight within a pair, which crosses a layer, curved from one pair to the next.
    pub arrows: Vec<Vec<Point>>,
    /// Left edge and width, by layers.
    pub layers: Vec<(f64, f64)>,
    pub width: f64,
    pub height: f64,
}

/// Between two boxes of a layer, and beside a lane.
const GAP: f64 = 18.0;
const LANE_GAP: f64 = 11.0;
/// Between two bands.
const BAND_GAP: f64 = 72.0;
/// Between two layers, and as much more for each arrow there up to the second.
const LAYER_GAP: f64 = 54.0;
const LAYER_GAP_MAX: f64 = 130.0;
/// Between two arrows at one side of a box, where there is room.
const PORT_GAP: f64 = 9.0;
const SWEEPS: usize = 24;

/// A box, or the place where a long arrow crosses a layer.
struct Cell {
    layer: usize,
    band: usize,
    height: f64,
    is_lane: bool,
    before: Vec<usize>,
    after: Vec<usize>,
    /// Its middle.
    y: f64,
}

struct Layout {
    cells: Vec<Cell>,
    /// Cells from top to bottom, by layers.
    layers: Vec<Vec<usize>>,
}

/// Places items. An arrow goes from a lower layer to a higher one.
pub fn place(items: &[Item], arrows: &[(usize, usize)]) -> Placed {
    let (mut layout, ways) = Layout::new(items, arrows);
    layout.order();
    layout.straighten();
    layout.stack_bands();
    layout.finish(items, &ways)
}

impl Layout {
    /// Also gives the cells that each arrow passes, its ends among them.
    fn new(items: &[Item], arrows: &[(usize, usize)]) -> (Self, Vec<Vec<usize>>) {
        let count = items.iter().map(|item| item.layer + 1).max().unwrap_or(0);
        let mut layout = Self { cells: Vec::new(), layers: vec![Vec::new(); count] };
        for item in items {
            layout.add(item.layer, item.band, item.height, false);
        }
        let mut ways = Vec::with_capacity(arrows.len());
        for &(from, to) in arrows {
            let mut way = vec![from];
            for layer in items[from].layer + 1..items[to].layer {
                way.push(layout.add(layer, items[to].band, 0.0, true));
            }
            way.push(to);
            for pair in way.windows(2) {
                layout.cells[pair[0]].after.push(pair[1]);
                layout.cells[pair[1]].before.push(pair[0]);
            }
            ways.push(way);
        }
        for layer in &mut layout.layers {
            layer.sort_by_key(|&cell| layout.cells[cell].band);
        }
        (layout, ways)
    }

    fn add(&mut self, layer: usize, band: usize, height: f64, is_lane: bool) -> usize {
        let cell = self.cells.len();
        self.cells.push(Cell { layer, band, height, is_lane, before: Vec::new(), after: Vec::new(), y: 0.0 });
        self.layers[layer].push(cell);
        cell
    }

    /// Each cell's place in its layer.
    fn ranks(&self) -> Vec<f64> {
        let mut ranks = vec![0.0; self.cells.len()];
        for layer in &self.layers {
            for (rank, &cell) in layer.iter().enumerate() {
                ranks[cell] = rank as f64;
            }
        }
        ranks
    }

    /// Sorts each layer by where its neighbours are, to and fro, and keeps the order with the fewest crossings.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.layers.clone());
        for sweep in 0..SWEEPS {
            let forward = sweep % 2 == 0;
            for step in 0..self.layers.len() {
                let layer = if forward { step } else { self.layers.len() - 1 - step };
                let ranks = self.ranks();
                let wanted = |&cell: &usize| {
                    let Cell { before, after, band, .. } = &self.cells[cell];
                    (*band, mean(if forward { before } else { after }, &ranks).unwrap_or(ranks[cell]))
                };
                let mut order: Vec<(usize, (usize, f64))> =
                    self.layers[layer].iter().map(|cell| (*cell, wanted(cell))).collect();
                order.sort_by(|(_, a), (_, b)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
                self.layers[layer] = order.into_iter().map(|(cell, _)| cell).collect();
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.layers.clone());
            }
        }
        self.layers = best.1;
    }

    /// How many pairs of arrows cross.
    fn crossings(&self) -> usize {
        let ranks = self.ranks();
        let mut crossings = 0;
        for layer in &self.layers {
            let mut ends: Vec<(f64, f64)> = Vec::new();
            for &cell in layer {
                for &next in &self.cells[cell].after {
                    let (from, to) = (ranks[cell], ranks[next]);
                    crossings += ends.iter().filter(|(a, b)| (*a < from && *b > to) || (*a > from && *b < to)).count();
                    ends.push((from, to));
                }
            }
        }
        crossings
    }

    /// Moves each band's cells to the middle of their neighbours, as far as those beside them let them.
    fn straighten(&mut self) {
        for layer in 0..self.layers.len() {
            self.settle(layer, |_| None);
        }
        for sweep in 0..SWEEPS {
            for step in 0..self.layers.len() {
                let forward = sweep % 2 == 0;
                let layer = if forward { step } else { self.layers.len() - 1 - step };
                let ys: Vec<f64> = self.cells.iter().map(|cell| cell.y).collect();
                let bands: Vec<usize> = self.cells.iter().map(|cell| cell.band).collect();
                self.settle(layer, |cell: &Cell| {
                    // The last sweeps look both ways.
                    let both = sweep + 4 >= SWEEPS;
                    let before = cell.before.iter().filter(|_| forward || both);
                    let after = cell.after.iter().filter(|_| !forward || both);
                    let near: Vec<usize> =
                        before.chain(after).copied().filter(|&other| bands[other] == cell.band).collect();
                    mean(&near, &ys)
                });
            }
        }
    }

    /// Puts a layer's cells as near as they can be to where they want to be, in their order and without overlaps: least
    /// squares, by pooling neighbours that would meet.
    fn settle(&mut self, layer: usize, wanted: impl Fn(&Cell) -> Option<f64>) {
        let cells = self.layers[layer].clone();
        let bands: Vec<usize> = self.cells.iter().map(|cell| cell.band).collect();
        for band in cells.chunk_by(|a, b| bands[*a] == bands[*b]) {
            let mut offsets = Vec::with_capacity(band.len());
            let mut offset = 0.0;
            for (index, &cell) in band.iter().enumerate() {
                if index > 0 {
                    offset += self.apart(band[index - 1], cell);
                }
                offsets.push(offset);
            }
            // Each block: the sum of what its cells want, less their offsets, and how many they are.
            let mut blocks: Vec<(f64, f64)> = Vec::new();
            for (&cell, offset) in band.iter().zip(&offsets) {
                let y = wanted(&self.cells[cell]).unwrap_or(self.cells[cell].y);
                let mut block = (y - offset, 1.0);
                while let Some(&(sum, count)) = blocks.last().filter(|(sum, count)| sum / count > block.0 / block.1) {
                    block = (block.0 + sum, block.1 + count);
                    blocks.pop();
                }
                blocks.push(block);
            }
            let places = blocks.iter().flat_map(|&(sum, count)| std::iter::repeat_n(sum / count, count as usize));
            for ((&cell, offset), place) in band.iter().zip(&offsets).zip(places) {
                self.cells[cell].y = place + offset;
            }
        }
    }

    /// How far the middles of two neighbours are apart at least.
    fn apart(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (&self.cells[a], &self.cells[b]);
        let gap = if a.is_lane || b.is_lane { LANE_GAP } else { GAP };
        (a.height + b.height) / 2.0 + gap
    }

    /// Puts each band below the one before it.
    fn stack_bands(&mut self) {
        let mut bands: Vec<usize> = self.cells.iter().map(|cell| cell.band).collect();
        bands.sort_unstable();
        bands.dedup();
        let mut top = 0.0;
        for band in bands {
            let of_band = || self.cells.iter().filter(|cell| cell.band == band);
            let low = of_band().map(|cell| cell.y - cell.height / 2.0).fold(f64::INFINITY, f64::min);
            let high = of_band().map(|cell| cell.y + cell.height / 2.0).fold(f64::NEG_INFINITY, f64::max);
            self.cells.iter_mut().filter(|cell| cell.band == band).for_each(|cell| cell.y += top - low);
            top += high - low + BAND_GAP;
        }
    }

    fn finish(self, items: &[Item], ways: &[Vec<usize>]) -> Placed {
        let mut layers: Vec<(f64, f64)> = Vec::with_capacity(self.layers.len());
        let mut x = 0.0;
        for (index, cells) in self.layers.iter().enumerate() {
            let widths = items.iter().filter(|item| item.layer == index).map(|item| item.width);
            let width = widths.fold(0.0, f64::max);
            layers.push((x, width));
            let arrows: usize = cells.iter().map(|&cell| self.cells[cell].after.len()).sum();
            x += width + (LAYER_GAP + 2.0 * arrows as f64).min(LAYER_GAP_MAX);
        }
        let boxes: Vec<Rect> = items
            .iter()
            .zip(&self.cells)
            .map(|(item, cell)| {
                let (x, width) = layers[item.layer];
                Rect { x, y: cell.y - item.height / 2.0, width, height: item.height }
            })
            .collect();
        let arrows = (0..ways.len()).map(|arrow| self.points(arrow, ways, &layers)).collect();
        let width = layers.last().map_or(0.0, |(x, width)| x + width);
        let height = self.cells.iter().map(|cell| cell.y + cell.height / 2.0).fold(0.0, f64::max);
        Placed { boxes, arrows, layers, width, height }
    }

    /// An arrow's way: out of its box, through the layers between, into the other box.
    fn points(&self, arrow: usize, ways: &[Vec<usize>], layers: &[(f64, f64)]) -> Vec<Point> {
        let way = &ways[arrow];
        let (first, last) = (way[0], way[way.len() - 1]);
        let right = |cell: usize| layers[self.cells[cell].layer].0 + layers[self.cells[cell].layer].1;
        let left = |cell: usize| layers[self.cells[cell].layer].0;
        let out = self.port(arrow, ways, first, |way| (way[0] == first).then(|| way[1]));
        let into = self.port(arrow, ways, last, |way| (way[way.len() - 1] == last).then(|| way[way.len() - 2]));
        let mut points = vec![(right(first), out)];
        for &lane in &way[1..way.len() - 1] {
            points.extend([(left(lane), self.cells[lane].y), (right(lane), self.cells[lane].y)]);
        }
        points.push((left(last), into));
        points
    }

    /// Where an arrow meets a box's side: those of one side in the order of where they go, or come from.
    fn port(&self, arrow: usize, ways: &[Vec<usize>], cell: usize, next: impl Fn(&[usize]) -> Option<usize>) -> f64 {
        let mut side: Vec<(f64, usize)> = Vec::new();
        for (index, way) in ways.iter().enumerate() {
            side.extend(next(way).map(|other| (self.cells[other].y, index)));
        }
        side.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let place = side.iter().position(|(_, index)| *index == arrow).unwrap_or(0) as f64;
        let count = side.len() as f64;
        let Cell { y, height, .. } = &self.cells[cell];
        let gap = PORT_GAP.min(height * 0.8 / count.max(1.0));
        y + (place - (count - 1.0) / 2.0) * gap
    }
}

fn mean(cells: &[usize], values: &[f64]) -> Option<f64> {
    let sum: f64 = cells.iter().map(|&cell| values[cell]).sum();
    (!cells.is_empty()).then(|| sum / cells.len() as f64)
}
