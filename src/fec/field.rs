//! The code done the slow way, straight from docs/PROTOCOL.md: what the fast way must agree with.

/// The basis in which elements are written: bit i of an element stands for the i-th.
const BASIS: [u16; 16] = [
    0x0001, 0xacca, 0x3c0e, 0x163e, 0xc582, 0xed2e, 0x914c, 0x4012, 0x6c98, 0x10d8, 0x6a72, 0xb900,
    0xfdb8, 0xfb34, 0xff38, 0x991e,
];

/// A product of polynomials over GF(2), modulo x^16 + x^5 + x^3 + x^2 + 1.
fn poly_mul(a: u16, b: u16) -> u16 {
    let (mut a, mut product) = (u32::from(a), 0);
    for bit in 0..16 {
        if b & (1 << bit) != 0 {
            product ^= a;
        }
        a <<= 1;
        if a & 0x1_0000 != 0 {
            a ^= 0x1_002d;
        }
    }
    product as u16
}

fn to_poly(element: u16) -> u16 {
    let bits = (0..16).filter(|bit| element & (1 << bit) != 0);
    bits.fold(0, |sum, bit| sum ^ BASIS[bit])
}

/// The field: elements written in the basis, and their products.
pub(super) struct Field {
    from_poly: Vec<u16>,
}

impl Field {
    pub(super) fn new() -> Field {
        let mut from_poly = vec![0; 1 << 16];
        for element in 0..=u16::MAX {
            from_poly[usize::from(to_poly(element))] = element;
        }
        Field { from_poly }
    }

    pub(super) fn mul(&self, a: u16, b: u16) -> u16 {
        self.from_poly[usize::from(poly_mul(to_poly(a), to_poly(b)))]
    }

    fn inverse(&self, a: u16) -> u16 {
        // a^(2^16 - 2)
        let (mut power, mut result) = (a, 1);
        for _ in 1..16 {
            power = self.mul(power, power);
            result = self.mul(result, power);
        }
        result
    }

    /// What the value at point i counts for at point `at`, for a polynomial of degree below `n`
    /// that is known at the points 0 to `n` - 1.
    fn lagrange(&self, n: u16, i: u16, at: u16) -> u16 {
        let others = (0..n).filter(|j| *j != i);
        others.fold(1, |product, j| {
            let factor = self.mul(at ^ j, self.inverse(i ^ j));
            self.mul(product, factor)
        })
    }

    /// One parity symbol of a block.
    pub(super) fn parity(&self, symbol_size: usize, source: &[u8], number: u16) -> Vec<u8> {
        let symbols = source.len() / symbol_size;
        let n = symbols.next_power_of_two() as u16;
        let mut parity = vec![0; symbol_size];
        for (i, symbol) in (0..).zip(source.chunks_exact(symbol_size)) {
            let weight = self.lagrange(n, i, n + number);
            for (out, piece) in parity.chunks_exact_mut(64).zip(symbol.chunks_exact(64)) {
                for at in 0..32 {
                    let element = u16::from_le_bytes([piece[at], piece[at + 32]]);
                    let [low, high] = self.mul(weight, element).to_le_bytes();
                    out[at] ^= low;
                    out[at + 32] ^= high;
                }
            }
        }
        parity
    }
}

#[test]
fn the_basis_is_cantors() {
    assert_eq!(BASIS[0], 1);
    for pair in BASIS.windows(2) {
        assert_eq!(poly_mul(pair[1], pair[1]) ^ pair[1], pair[0]);
    }
}
