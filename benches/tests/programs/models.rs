//! What the programs compute, written down a second time over plain Rust values: no objects, no casts, other data
//! structures where the result allows it.

use std::collections::HashMap;

/// A program, its model, and arguments to try.
pub(crate) type Model = (&'static str, fn(i32) -> i32, &'static [i32]);

/// All of them.
pub(crate) const MODELS: &[Model] = &[
    ("binary_trees", binary_trees, &[5, 8]),
    ("bulk_arrays", bulk_arrays, &[3, 40]),
    ("casts", casts, &[2, 9]),
    ("closures", closures, &[77, 3000]),
    ("cyclic_garbage", cyclic_garbage, &[50, 1001]),
    ("deep_recursion", deep_recursion, &[1, 3]),
    ("exceptions_far", exceptions_far, &[5, 100]),
    ("exceptions_near", exceptions_near, &[100, 2003]),
    ("hash_map", hash_map, &[101, 3000]),
    ("i31", i31, &[3, 17]),
    ("linked_list", linked_list, &[1, 3]),
    ("live_heap", live_heap, &[97, 2000]),
    ("lru_cache", lru_cache, &[500, 20_000]),
    ("matrix", matrix, &[7, 30]),
    ("nbody", nbody, &[10, 1000]),
    ("non_escaping", non_escaping, &[100, 5001]),
    ("short_lived", short_lived, &[100, 5001]),
    ("shuffle", shuffle, &[97, 1500]),
    ("sieve", sieve, &[100, 20_011]),
    ("sort_boxed", sort_boxed, &[99, 2500]),
    ("strings", strings, &[300, 7001]),
    ("virtual_dispatch", virtual_dispatch, &[1, 25]),
];

/// The generator of pseudo-random numbers that all programs share.
fn random(seed: i32) -> i32 {
    seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
}

/// Shifts zeros in.
fn shr(x: i32, by: u32) -> i32 {
    (x as u32 >> by) as i32
}

/// One step of the usual fold.
fn fold(check: i32, next: i32) -> i32 {
    check.wrapping_mul(31).wrapping_add(next)
}

fn short_lived(n: i32) -> i32 {
    let mut v = [1i32, 2, 3];
    for i in 0..n {
        let sum = [v[0].wrapping_add(i), v[1].wrapping_add(i >> 1), v[2].wrapping_add(1)];
        v = [sum[1], sum[2], sum[0]];
    }
    v[0] ^ v[1] ^ v[2]
}

fn non_escaping(n: i32) -> i32 {
    (0..n).fold(0i32, |acc, i| {
        let x = i / 7 + 1;
        let y = (i % 7) ^ i;
        acc.wrapping_add(x.wrapping_mul(3)).wrapping_add(y.wrapping_mul(x))
    })
}

/// A full tree of depth `d` has 2^(d+1) - 1 nodes.
fn binary_trees(n: i32) -> i32 {
    let nodes = |depth: i32| (1i32 << (depth + 1)) - 1;
    let shallow = (4..=n)
        .step_by(2)
        .fold(nodes(n + 1), |check, depth| fold(check, nodes(depth).wrapping_mul(1 << (n - depth + 4))));
    fold(shallow, nodes(n))
}

fn linked_list(n: i32) -> i32 {
    let weighted = |values: &[i32]| {
        values.iter().zip(1i32..).fold(0i32, |sum, (&value, i)| sum.wrapping_add(value.wrapping_mul(i)))
    };
    (0..n).fold(0i32, |check, round| {
        // The list is built back to front and then reversed.
        let values: Vec<i32> = (0..10_000).map(|i| i ^ round).collect();
        let sum = values.iter().fold(0i32, |sum, &value| sum.wrapping_add(value));
        check.wrapping_add(sum).wrapping_add(weighted(&values)) ^ weighted(&values).wrapping_mul(2)
    })
}

/// Positions, velocities a day, masses in suns.
const BODIES: [([f64; 3], [f64; 3], f64); 5] = [
    ([0.0; 3], [0.0; 3], 1.0),
    (
        [4.841_431_442_464_721, -1.160_320_044_027_428_4, -0.103_622_044_471_123_11],
        [0.001_660_076_642_744_037, 0.007_699_011_184_197_404, -0.000_069_046_001_697_206_3],
        0.000_954_791_938_424_326_6,
    ),
    (
        [8.343_366_718_244_58, 4.124_798_564_124_305, -0.403_523_417_114_321_4],
        [-0.002_767_425_107_264_11, 0.004_998_528_012_349_172, 0.000_023_041_729_757_376_393],
        0.000_285_885_980_666_130_8,
    ),
    (
        [12.894_369_562_139_13, -15.111_151_401_698_631, -0.223_307_578_892_655_73],
        [0.002_964_601_375_647_616, 0.002_378_471_739_594_809_5, -0.000_029_658_956_854_023_756],
        0.000_043_662_440_433_515_63,
    ),
    (
        [15.379_697_114_850_917, -25.919_314_609_987_964, 0.179_258_772_950_371_18],
        [0.002_680_677_724_903_893_2, 0.001_628_241_700_382_423, -0.000_095_159_225_451_971_59],
        0.000_051_513_890_204_661_145,
    ),
];

/// The sums are taken in the program's order, since the result is compared bit by bit.
fn nbody(n: i32) -> i32 {
    let mass: Vec<f64> = BODIES.iter().map(|b| b.2 * 39.478_417_604_357_43).collect();
    let mut x: Vec<[f64; 3]> = BODIES.iter().map(|b| b.0).collect();
    let mut v: Vec<[f64; 3]> = BODIES.iter().map(|b| b.1.map(|v| v * 365.24)).collect();
    v[0] = [0, 1, 2].map(|axis| -((0..5).fold(0.0, |p, i| p + v[i][axis] * mass[i]) / mass[0]));
    let square = |d: [f64; 3]| d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
    let between = |x: &[[f64; 3]], i: usize, j: usize| [0, 1, 2].map(|axis| x[i][axis] - x[j][axis]);
    for _ in 0..n {
        for i in 0..5 {
            for j in i + 1..5 {
                let d = between(&x, i, j);
                let magnitude = 0.01 / (square(d) * square(d).sqrt());
                for axis in 0..3 {
                    v[i][axis] -= d[axis] * (mass[j] * magnitude);
                    v[j][axis] += d[axis] * (mass[i] * magnitude);
                }
            }
        }
        for (x, v) in x.iter_mut().zip(&v) {
            for axis in 0..3 {
                x[axis] += 0.01 * v[axis];
            }
        }
    }
    let mut energy = 0.0;
    for i in 0..5 {
        energy += 0.5 * mass[i] * square(v[i]);
        for j in i + 1..5 {
            energy -= mass[i] * mass[j] / square(between(&x, i, j)).sqrt();
        }
    }
    let bits = f64::to_bits(energy);
    bits as i32 ^ (bits >> 32) as i32
}

/// By division.
fn sieve(n: i32) -> i32 {
    let mut primes: Vec<i32> = Vec::new();
    for i in 2..=n {
        if primes.iter().take_while(|&&p| p <= i / p).all(|p| i % p != 0) {
            primes.push(i);
        }
    }
    primes.len() as i32
}

fn matrix(n: i32) -> i32 {
    let (a, b) = (|i: i32, j: i32| (i * 3 + j) % 10, |i: i32, j: i32| (i * 7 + j) % 10);
    let mut check = 0i32;
    for i in 0..n {
        for j in 0..n {
            let element: i32 = (0..n).map(|k| a(i, k) * b(k, j)).sum();
            check = check.wrapping_add((i + i + j).wrapping_mul(element));
        }
    }
    check
}

fn sort_boxed(n: i32) -> i32 {
    let mut seed = 12345;
    let mut values: Vec<i32> = (0..n)
        .map(|_| {
            seed = random(seed);
            seed >> 8
        })
        .collect();
    values.sort_unstable();
    values.iter().zip(1i32..).fold(0i32, |sum, (&value, i)| sum.wrapping_add(value.wrapping_mul(i)))
}

fn hash_map(n: i32) -> i32 {
    let mut map = HashMap::new();
    let mut seed = 1;
    let mut key = || {
        seed = random(seed);
        shr(seed, 8) % (n / 2 + 1)
    };
    for i in 0..n {
        map.insert(key(), i);
    }
    let largest = map.len() as i32;
    let sum = (0..n).filter_map(|_| map.get(&key())).fold(0i32, |sum, &value| sum.wrapping_add(value));
    for _ in 0..n {
        map.remove(&key());
    }
    fold(fold(sum, map.len() as i32), largest)
}

fn virtual_dispatch(n: i32) -> i32 {
    let mut seed = 7;
    let mut shapes: Vec<(i32, i32, i32)> = (0..256)
        .map(|_| {
            seed = random(seed);
            ((seed >> 20) & 3, (seed >> 8) & 63, (seed >> 14) & 63)
        })
        .collect();
    let mut sum = 0i32;
    for _ in 0..n {
        for (kind, a, b) in &mut shapes {
            let area = match *kind {
                0 => *a * *a,
                1 => *a * *b,
                2 => (*a * *b) / 2,
                _ => *a * *b - 1,
            };
            sum = sum.wrapping_add(area);
            if sum % 8 == 0 {
                match *kind {
                    2 => *b = (*b ^ sum) & 1023,
                    _ => *a = a.wrapping_add(sum) & 1023,
                }
            }
        }
    }
    sum
}

fn closures(n: i32) -> i32 {
    let (mut x, mut cell) = (0i32, 0i32);
    for i in 0..n {
        x = x.wrapping_add(i).wrapping_mul(3) ^ i;
        cell = cell.wrapping_add(x);
    }
    x ^ cell
}

fn casts(n: i32) -> i32 {
    fn eval(depth: i32, path: i32, x: i32) -> i32 {
        if depth == 0 {
            return if path % 3 == 0 { x } else { path };
        }
        let (left, right) = (eval(depth - 1, 2 * path, x), eval(depth - 1, 2 * path + 1, x));
        match path * 7 % 5 {
            0 => left.wrapping_mul(right),
            // What is subtracted is negated first.
            1 => left.wrapping_sub(0i32.wrapping_sub(right)),
            _ => left.wrapping_add(right),
        }
    }
    let weights: i32 = (0..64).map(|i| [1, 100, 10, 100, 1000, 10_000][(i * 11 % 6) as usize]).sum();
    (0..n).fold(0, |check, i| fold(check, eval(9, 1, i)).wrapping_add(weights))
}

fn bulk_arrays(n: i32) -> i32 {
    /// One kind of elements: what a fill stores, and what is read of it.
    fn round<T: Copy>(a: &mut [T], b: &mut [T], at: usize, value: T, read: fn(T) -> i32) -> i32 {
        a[at..at + 3000].fill(value);
        b[7..4007].copy_from_slice(&a[..4000]);
        b.copy_within(0..4000, 1);
        a[..2000].copy_from_slice(&b[3..2003]);
        read(a[1000]).wrapping_add(read(b[3500]))
    }
    let (mut a8, mut b8) = ([0u8; 4096], [0u8; 4096]);
    let (mut a16, mut b16) = ([0u16; 4096], [0u16; 4096]);
    // Ints, longs and boxes hold the same.
    let (mut a32, mut b32) = ([0i32; 4096], [0i32; 4096]);
    (0..n).fold(0, |check, r| {
        let at = (r & 1023) as usize;
        let bytes = round(&mut a8, &mut b8, at, r as u8, i32::from);
        let shorts = round(&mut a16, &mut b16, at, r as u16, i32::from);
        let others = round(&mut a32, &mut b32, at, r, |x| x);
        [bytes, shorts, others, others, others].into_iter().fold(check, fold)
    })
}

fn strings(n: i32) -> i32 {
    let hash = |text: &str| text.bytes().fold(0, |h, c| fold(h, i32::from(c)));
    let (mut builder, mut before, mut check) = (String::new(), "0".to_owned(), 0i32);
    for i in 0..n {
        let text = format!("{}px", i / 2);
        check = if text == before { check.wrapping_add(1) } else { check ^ hash(&text) };
        builder += &text;
        builder += ", ";
        builder.push(char::from(b'a' + (i % 26) as u8));
        before = text;
        if builder.len() > 32768 {
            check = fold(check, hash(&builder));
            builder.clear();
        }
    }
    fold(check, hash(&builder))
}

fn cyclic_garbage(n: i32) -> i32 {
    (0..n).fold(0i32, |sum, i| {
        let places: i32 = (0..8i32).map(|j| (j + 1).wrapping_mul(i ^ j)).fold(0, i32::wrapping_add);
        sum.wrapping_add(places).wrapping_add(8)
    })
}

/// Links are the numbers of the records at the time: records never change.
fn live_heap(n: i32) -> i32 {
    #[derive(Clone, Copy)]
    struct Record {
        number: i32,
        link: Option<i32>,
    }
    let mut table: Vec<Record> = (0..n).map(|number| Record { number, link: None }).collect();
    let mut seed = 42;
    for i in 0..4 * n {
        seed = random(seed);
        let at = shr(seed, 8) % n;
        let number = table[at as usize].number.wrapping_mul(4);
        table[at as usize] = Record { number, link: None };
        table[((at + i) % n) as usize].link = Some(number);
    }
    table.iter().fold(0i32, |sum, record| sum.wrapping_add(record.number) ^ record.link.unwrap_or(0))
}

fn i31(n: i32) -> i32 {
    let narrow = |x: i32| (x << 1) >> 1;
    let (mut sum, mut next) = (0i32, 1i32);
    for _ in 0..n {
        (sum, next) = (next, sum + next);
    }
    let mut table = [1i32; 1024];
    for i in 0..n * 100_000 {
        let at = &mut table[(i.wrapping_mul(37) & 1023) as usize];
        *at = narrow(at.wrapping_add(i));
        if *at == sum {
            *at = 0;
        }
        sum ^= *at;
    }
    sum
}

/// The sum of 2k + round for k from 1 to 4,000.
fn deep_recursion(n: i32) -> i32 {
    (0..n).fold(0, |check, round| fold(check, 4000 * 4001 + 4000 * round))
}

fn exceptions_near(n: i32) -> i32 {
    (0..n).fold(0i32, |check, i| {
        let result = if i % 3 == 0 { 1i32.wrapping_sub(i) } else { i.wrapping_mul(5) };
        check.wrapping_mul(31) ^ result
    })
}

fn exceptions_far(n: i32) -> i32 {
    (0..n).fold(0i32, |check, i| check.wrapping_mul(31) ^ i).wrapping_add(n)
}

/// Entries with the time of their last use; the oldest goes.
fn lru_cache(n: i32) -> i32 {
    let mut entries: HashMap<i32, (i32, i32)> = HashMap::new();
    let (mut seed, mut hits) = (99, 0i32);
    for now in 0..n {
        seed = random(seed);
        let key = (shr(seed, 8) & shr(seed, 19) & 4095) ^ (shr(seed, 27) & 31);
        if let Some((uses, last)) = entries.get_mut(&key) {
            (*uses, *last) = (*uses + 1, now);
            hits += 1;
            continue;
        }
        if entries.len() >= 1024 {
            let oldest = entries.iter().min_by_key(|(_, (_, last))| *last).map(|(&key, _)| key).expect("it is full");
            entries.remove(&oldest);
        }
        entries.insert(key, (1, now));
    }
    fold(hits, entries.values().map(|(uses, _)| uses).sum())
}

fn shuffle(n: i32) -> i32 {
    let mut order: Vec<i32> = (0..n).collect();
    let mut peers: Vec<i32> = (0..n).map(|i| (i + n - 1) % n).collect();
    let mut seed = 3;
    for _ in 0..10 {
        for i in (1..n).rev() {
            seed = random(seed);
            let (i, j) = (i as usize, (shr(seed, 8) % (i + 1)) as usize);
            let (a, b) = (order[i] as usize, order[j] as usize);
            order.swap(i, j);
            if a % 2 == 1 {
                peers.swap(a, b);
            }
        }
    }
    order
        .iter()
        .zip(1i32..)
        .fold(0i32, |sum, (&number, place)| sum.wrapping_add(number.wrapping_mul(place)) ^ peers[number as usize])
}
