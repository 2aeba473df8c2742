/* SPDX-License-Identifier: Apache-2.0 */
/* Natural order: a sorted list of names, all pairs compared, and random names that must be ordered totally. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "layout/base/natural.h"

static int sign(int r)
{
	return (r > 0) - (r < 0);
}

/* The sign that comparing keys gives. */
static int by_keys(const char *a, const char *b)
{
	static uint8_t x[NATURAL_KEY_MOST * 1000 + 1], y[NATURAL_KEY_MOST * 1000 + 1];
	uint64_t m = natural_key(a, x), n = natural_key(b, y);
	int order = memcmp(x, y, m < n ? m : n);

	cr_assert(m <= NATURAL_KEY_MOST * strlen(a) && n <= NATURAL_KEY_MOST * strlen(b));
	return order ? sign(order) : (m > n) - (m < n);
}

/* Keys have the same order, but where names differ in leading zeros only. */
static void compare_keys(const char *a, const char *b)
{
	int order = by_keys(a, b);

	cr_assert(order ? order == sign(natural_compare(a, b)) : strcmp(a, b) == 0 || strchr(a, '0') || strchr(b, '0'), "\"%s\" and \"%s\"", a, b);
}

Test(natural, sorted_list)
{
	static const char *const sorted[] = {
		"", "0", "00", "001", "01", "1", "2", "010", "10", "18446744073709551615", "18446744073709551616", "99999999999999999999999",
		"a", "a.1", "a0", "a00b", "a0b", "a01", "a1", "a01.b", "a1.b", "a1.c", "a2", "a9", "a10", "a10b2", "a10b10", "ab", "b",
		"model.layers.0.w", "model.layers.1.w", "model.layers.2.w", "model.layers.10.b", "model.layers.10.w", "model.layers.x",
		"z", "\xc3\xa9",
	};
	static const size_t n = sizeof(sorted) / sizeof(sorted[0]);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			cr_assert_eq(sign(natural_compare(sorted[i], sorted[j])), (i > j) - (i < j), "\"%s\" and \"%s\"", sorted[i], sorted[j]);
			compare_keys(sorted[i], sorted[j]);
		}
}

Test(natural, keys_of_long_numbers)
{
	static const int lengths[] = { 1, 2, 254, 255, 256, 257, 300, 999 };
	char a[1000], b[1000];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		for (size_t j = 0; j < sizeof(lengths) / sizeof(*lengths); j++) {
			memset(a, '7', sizeof(a));
			memset(b, '6', sizeof(b));
			a[lengths[i]] = b[lengths[j]] = '\0';
			cr_assert_eq(by_keys(a, b), lengths[i] < lengths[j] ? -1 : 1, "%d and %d digits", lengths[i], lengths[j]);
		}
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % below;
}

Test(natural, total_order_over_random_names)
{
	static const char letters[] = "0001129.ab\xc3";
	uint64_t seed = 20240611;
	char name[3][8];

	for (int n = 0; n < 300000; n++) {
		for (int i = 0; i < 3; i++) {
			uint64_t len = draw(&seed, 7);

			for (uint64_t c = 0; c < len; c++)
				name[i][c] = letters[draw(&seed, sizeof(letters) - 1)];
			name[i][len] = 0;
		}

		int ab = sign(natural_compare(name[0], name[1])), bc = sign(natural_compare(name[1], name[2]));
		int ac = sign(natural_compare(name[0], name[2])), ba = sign(natural_compare(name[1], name[0]));

		compare_keys(name[0], name[1]);
		cr_assert_eq(ab, -ba, "\"%s\" \"%s\", seed 20240611", name[0], name[1]);
		cr_assert_eq(ab == 0, strcmp(name[0], name[1]) == 0, "\"%s\" \"%s\", seed 20240611", name[0], name[1]);
		if (ab <= 0 && bc <= 0)
			cr_assert_leq(ac, 0, "\"%s\" \"%s\" \"%s\", seed 20240611", name[0], name[1], name[2]);
	}
}
