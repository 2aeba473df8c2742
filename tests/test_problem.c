/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what went wrong with sources. */
#include <criterion/criterion.h>

#include "fs/base/problem.h"

/* One entry for each file, a count, and a bound. */
Test(problem, problems_are_bounded)
{
	struct problems *p = problem_list_new();
	struct problem got;

	cr_assert_not(problem_get(p, 0, &got));
	for (uint32_t round = 0; round < 3; round++)
		for (uint32_t i = 0; i < PROBLEM_MAX + 10; i++)
			cr_assert_eq(problem_add(p, i, "it broke"), round == 0 && i < PROBLEM_MAX);
	for (uint32_t i = 0; i < PROBLEM_MAX; i++) {
		cr_assert(problem_get(p, i, &got));
		cr_assert(got.source == i && got.count == 3 && got.first && got.last >= got.first);
		cr_assert_str_eq(got.msg, "it broke");
	}
	cr_assert_not(problem_get(p, PROBLEM_MAX, &got));
	cr_assert_eq(problem_more(p), 30);
	problem_list_free(p);
}
