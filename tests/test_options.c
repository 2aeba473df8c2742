/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: what each spelling means, and what is refused with which words. Every case is an argument list as a shell would
 * hand it over.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/options/option.h"
#include "fs/options/scope.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ARGS 12

static int parse_for(const char *verb, const char *const *args, struct options *o, struct error *err)
{
	char *argv[ARGS] = { NULL };
	int argc = 0;

	for (; argc < ARGS && args[argc]; argc++)
		argv[argc] = (char *)args[argc];
	return options_parse(verb, argc, argv, o, err);
}

static int parse(const char *const *args, struct options *o, struct error *err)
{
	return parse_for("mount", args, o, err);
}

/* Memory grows with the length of a list, not with its square. */
Test(options, a_long_list)
{
	enum { ITEMS = 20000 };
	char *list = malloc(3 * ITEMS + 1), *argv[] = { (char[]){ "-o" }, list };
	struct error err = { "" };
	struct options o;

	for (int i = 0; i < ITEMS; i++)
		strcpy(list + 3 * i, "ro,");
	cr_assert_eq(options_parse("mount", 2, argv, &o, &err), 0, "%s", err.msg);
	cr_assert_leq(arena_size(o.arena), 1 << 20);
	options_free(&o);
	free(list);
}

/* Every way to write one and the same set of options. */
Test(options, spellings)
{
	static const char *const cases[][ARGS] = {
		{ "S", "M", "-o", "part_size=2K,filter=a.,filter=b,index=hf,allow_other" },
		{ "-o", "part_size=2K", "S", "-ofilter=a.,index=hf", "M", "-o", "filter=b", "-o", "allow_other" },
		{ "--part-size", "2048", "--filter=a.", "S", "--filter", "b", "--index", "hf", "--allow_other", "M" },
		{ "-o", "ro,,filter=a.,,defaults,index=hf,", "-o", "filter=b,part_size=2k,allow_other,_netdev", "--", "S", "M" },
		{ "S", "M", "-o", "x-systemd.automount,x-a=1\\,2,user=me,comment=c d,rw,nofail", "--filter=a.", "--filter=b", "--index=hf",
		  "--part_size=2K", "--allow_other", "--default_permissions" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct options o;
		struct error err = { "" };

		cr_assert_eq(parse(cases[i], &o, &err), 0, "case %zu: %s", i, err.msg);
		cr_assert_eq(o.part_size, 2048, "case %zu", i);
		cr_assert_eq(o.index, OPTIONS_INDEX_HF, "case %zu", i);
		cr_assert(o.allow_other && !o.allow_root && !o.foreground, "case %zu", i);
		cr_assert_eq(o.filter.count, 2, "case %zu", i);
		cr_assert_str_eq(o.filter.item[0], "a.");
		cr_assert_str_eq(o.filter.item[1], "b");
		cr_assert_eq(o.args.count, 2, "case %zu", i);
		cr_assert_str_eq(o.args.item[0], "S");
		cr_assert_str_eq(o.args.item[1], "M");
		options_free(&o);
	}
}

Test(options, nothing_given)
{
	static const char *const args[ARGS] = { NULL };
	struct options o;
	struct error err;

	cr_assert_eq(parse(args, &o, &err), 0);
	cr_assert_eq(o.part_size, 0);
	cr_assert_eq(o.readahead, OPTIONS_READAHEAD);
	cr_assert_eq(o.cache_budget, OPTIONS_CACHE_BUDGET);
	cr_assert_eq(o.index, OPTIONS_INDEX_AUTO);
	cr_assert(!o.step && !o.fsname && !o.strategy_none && !o.outside_rank0 && !o.has_uid && !o.has_gid && !o.has_mode);
	cr_assert_eq(o.seen, 0);
	options_free(&o);
}

Test(options, of_the_verbs_that_list)
{
	static const char *const args[ARGS] = { "-q", "--json", "S", "-o", "values" };
	struct options o;
	struct error err = { "" };

	cr_assert_eq(parse_for("check", args, &o, &err), 0, "%s", err.msg);
	cr_assert(o.quiet && o.json && o.values);
	cr_assert_eq(o.args.count, 1);
	options_free(&o);
}

/* Commas and backslashes: only `\,` and `\\` are escapes, only in -o, and colons mean nothing. */
Test(options, escapes)
{
	static const struct {
		const char *arg[ARGS];
		const char *fsname;
	} cases[] = {
		{ { "-o", "fsname=a\\,b" }, "a,b" },
		{ { "-o", "fsname=a\\\\,allow_other" }, "a\\" },
		{ { "-o", "fsname=a\\\\\\,b" }, "a\\,b" },
		{ { "-o", "fsname=a\\b\\" }, "a\\b\\" },
		{ { "-o", "fsname=host:/a:b" }, "host:/a:b" },
		{ { "-o", "fsname=a=b" }, "a=b" },
		{ { "--fsname", "a\\,b,c" }, "a\\,b,c" },
		{ { "--fsname=a,b" }, "a,b" },
		{ { "--fsname", "--help" }, "--help" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct options o;
		struct error err = { "" };

		cr_assert_eq(parse(cases[i].arg, &o, &err), 0, "case %zu: %s", i, err.msg);
		cr_assert_str_eq(o.fsname, cases[i].fsname, "case %zu", i);
		options_free(&o);
	}
}

Test(options, each_value)
{
	static const char *const args[ARGS] = { "-o", "step=1_10,outside=rank0,strategy=none,max_threads=7,readahead=0,uid=0,gid=7,mode=0440",
						"-d", "-o", "allow_root" };
	struct options o;
	struct error err = { "" };

	cr_assert_eq(parse(args, &o, &err), 0, "%s", err.msg);
	cr_assert_str_eq(o.step, "1_10");
	cr_assert(o.outside_rank0 && o.strategy_none && o.strategy.count == 0);
	cr_assert_eq(o.max_threads, 7);
	cr_assert_eq(o.readahead, 0);
	cr_assert(o.has_uid && o.uid == 0 && o.has_gid && o.gid == 7 && o.has_mode && o.mode == 0440);
	cr_assert(o.debug && o.foreground && o.allow_root);
	options_free(&o);
}

Test(options, reading_ahead)
{
	static const struct {
		const char *arg;
		uint64_t readahead, budget;
	} good[] = {
		{ "readahead=4K", 4096, OPTIONS_CACHE_BUDGET }, { "readahead=64M", 64 << 20, OPTIONS_CACHE_BUDGET },
		{ "readahead=0,cache_budget=off", 0, 0 }, { "cache_budget=0", OPTIONS_READAHEAD, 0 },
		{ "cache_budget=2G", OPTIONS_READAHEAD, UINT64_C(2) << 30 }, { "cache_budget=77", OPTIONS_READAHEAD, 77 },
	};
	static const char *const bad[] = { "readahead=1", "readahead=4095", "readahead=65M", "readahead=off", "readahead=-1", "readahead=",
					   "cache_budget=OFF", "cache_budget=1KB", "cache_budget=99999999999999999999", "cache_budget=", "cache_budget" };
	struct options o;
	struct error err;

	for (size_t i = 0; i < COUNT(good); i++) {
		const char *const args[ARGS] = { "-o", good[i].arg };

		cr_assert_eq(parse(args, &o, &err), 0, "%s: %s", good[i].arg, err.msg);
		cr_assert_eq(o.readahead, good[i].readahead, "%s", good[i].arg);
		cr_assert_eq(o.cache_budget, good[i].budget, "%s", good[i].arg);
		options_free(&o);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		const char *const args[ARGS] = { "-o", bad[i] };

		cr_assert_eq(parse(args, &o, &err), -EINVAL, "%s was taken", bad[i]);
		options_free(&o);
	}
}

Test(options, rank_views)
{
	static const char *const args[ARGS] = { "-o", "to=/s,ranks=0-7+16+20-21", "--prefix", "qwen" }, *const same[ARGS] = { "--to=same" };
	static const struct value_range want[] = { { 0, 7 }, { 16, 16 }, { 20, 21 } };
	struct options o;
	struct error err = { "" };

	cr_assert_eq(parse(args, &o, &err), 0, "%s", err.msg);
	cr_assert_str_eq(o.to, "/s");
	cr_assert(!o.to_same && o.range_count == COUNT(want) && memcmp(o.ranks, want, sizeof(want)) == 0);
	cr_assert_str_eq(o.prefix, "qwen");
	options_free(&o);
	cr_assert_eq(parse(same, &o, &err), 0, "%s", err.msg);
	cr_assert(o.to_same && !o.to && o.range_count == 0);
	options_free(&o);
}

Test(options, refused)
{
	static const struct {
		const char *arg[ARGS];
		const char *says;
	} cases[] = {
		{ { "-o", "nonsense" }, "unknown option \"nonsense\"" },
		{ { "--partsize=1" }, "did you mean \"part_size\"?" },
		{ { "-o", "startegy=x" }, "did you mean \"strategy\"?" },
		{ { "-o", "to=s,ranks=3-1" }, "option \"ranks\": expected ascending ranks such as 0-7+16, found \"3-1\"" },
		{ { "-o", "to=s,ranks=0-7+7" }, "option \"ranks\": expected ascending ranks" },
		{ { "-o", "to=s,ranks=1,ranks=2" }, "option \"ranks\" is given twice" },
		{ { "-o", "to=s,ranks=" }, "option \"ranks\": expected ascending ranks" },
		{ { "-o", "to=s,ranks=1x" }, "option \"ranks\": expected ranks" },
		{ { "-o", "to=s,index=hf" }, "option \"index\" is of the unified view: it does not go with to=" },
		{ { "-o", "to=same,part_size=1" }, "option \"part_size\" is of the unified view: it does not go with to=" },
		{ { "-o", "ranks=1" }, "option \"ranks\" is of rank views: it needs to=" },
		{ { "-o", "prefix=a" }, "option \"prefix\" is of rank views: it needs to=" },
		{ { "-o", "to=s,prefix=a/b" }, "option \"prefix\": expected the beginning of a file's name, found \"a/b\"" },
		{ { "-x" }, "unknown option \"-x\"" },
		{ { "-o" }, "-o needs a value behind it" },
		{ { "--step" }, "--step needs a value behind it" },
		{ { "-o", "step" }, "option \"step\" needs a value" },
		{ { "-o", "step=" }, "option \"step\": expected a step" },
		{ { "-o", "allow_other=1" }, "option \"allow_other\" takes no value, found \"1\"" },
		{ { "-o", "=1" }, "an option without a name" },
		{ { "-o", "step=1,step=1" }, "option \"step\" is given twice" },
		{ { "--step", "1", "-o", "step=2" }, "option \"step\" is given twice" },
		{ { "-f", "-f" }, "option \"foreground\" is given twice" },
		{ { "-o", "auto_unmount" }, "looks as if the model were deleted" },
		{ { "-o", "allow_other,allow_root" }, "exclude each other" },
		{ { "-o", "strategy=none,strategy=x" }, "exclude each other" },
		{ { "-o", "index=x" }, "option \"index\": expected ms or hf, found \"x\"" },
		{ { "-o", "outside=rank1" }, "option \"outside\": expected rank0, found \"rank1\"" },
		{ { "-o", "filter=" }, "option \"filter\": an empty prefix" },
		{ { "-o", "with=" }, "option \"with\": expected a path" },
		{ { "-o", "part_size=0" }, "option \"part_size\": expected at least one byte" },
		{ { "-o", "part_size=1.5G" }, "option \"part_size\": expected bytes such as" },
		{ { "-o", "max_threads=0" }, "option \"max_threads\": expected a number from 1 to 1024, found \"0\"" },
		{ { "-o", "uid=4294967295" }, "option \"uid\": expected a number" },
		{ { "-o", "uid=root" }, "option \"uid\": expected a number" },
		{ { "-o", "mode=0888" }, "option \"mode\": expected permissions in octal" },
		{ { "-o", "evil\x1b[2J" }, "unknown option \"evil\\x1B[2J\"" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct options o;
		struct error err = { "" };

		cr_assert_eq(parse(cases[i].arg, &o, &err), -EINVAL, "case %zu (%s)", i, cases[i].says);
		cr_assert(strstr(err.msg, cases[i].says), "case %zu: \"%s\" without \"%s\"", i, err.msg, cases[i].says);
		options_free(&o);
	}
}

/* What is meant for another verb is never taken and then ignored. */
Test(options, of_another_verb)
{
	static const struct {
		const char *verb, *arg[ARGS], *says;
	} cases[] = {
		{ "mount", { "--verify" }, "option \"verify\" does not apply to mount; it belongs to export" },
		{ "mount", { "--json" }, "option \"json\" does not apply to mount; it belongs to export, info, ls, explain, stats, check, diff, digest, status, bench" },
		{ "export", { "-o", "allow_other" }, "option \"allow_other\" does not apply to export; it belongs to mount" },
		{ "export", { "-o", "steps=all" }, "option \"steps\" does not apply to export; it belongs to mount" },
		{ "export", { "-o", "ro" }, "option \"ro\" does not apply to export; it belongs to mount" },
		{ "export", { "-o", "x-systemd.automount" }, "\"x-systemd.automount\" does not apply to export; it belongs to mount" },
		{ "export", { "--dry-run" }, "option \"dry_run\" does not apply to export; it belongs to mount, info" },
		{ "ls", { "-f" }, "option \"foreground\" does not apply to ls; it belongs to mount" },
		{ "ls", { "--part-size", "3" }, "option \"part_size\" does not apply to ls; it belongs to mount, export, info" },
		{ "explain", { "-q" }, "option \"quiet\" does not apply to explain; it belongs to mount, export, ls, stats, check, diff, digest" },
		{ "digest", { "-o", "to=same" }, "option \"to\" does not apply to digest; it belongs to mount, export, info" },
		{ "digest", { "--value" }, "unknown option \"value\"" },
		{ "stats", { "--values" }, "option \"values\" does not apply to stats; it belongs to check" },
		{ "status", { "-o", "step=1" }, "option \"step\" does not apply to status; it belongs to mount, export, info, ls" },
		{ "merge-strategy", { "--json" }, "option \"json\" does not apply to merge-strategy" },
		{ "info", { "-o", "to=same" }, "option \"to\" is of a view: info needs --dry-run with it" },
		{ "info", { "-o", "index=hf" }, "option \"index\" is of a view: info needs --dry-run with it" },
		{ "info", { "-o", "part_size=3" }, "option \"part_size\" is of a view: info needs --dry-run with it" },
		{ "info", { "-o", "with=/x" }, "info needs --dry-run or names= with it" },
		{ "ls", { "-o", "with=/x" }, "ls needs names= with it" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct options o;
		struct error err = { "" };

		cr_assert_eq(parse_for(cases[i].verb, cases[i].arg, &o, &err), -EINVAL, "case %zu (%s)", i, cases[i].says);
		cr_assert(strstr(err.msg, cases[i].says), "case %zu: \"%s\" without \"%s\"", i, err.msg, cases[i].says);
		options_free(&o);
	}
}

/* Each row of the table with each verb: refused exactly where the verb is none of its. */
Test(options, of_all_verbs)
{
	static const char *const verbs[] = { "mount", "export", "info", "ls", "explain", "stats", "check", "diff", "digest", "status", "bench", "merge-strategy" };
	const struct option *row;

	for (size_t v = 0; v < COUNT(verbs); v++)
		for (uint32_t i = 0; (row = option_row(i)); i++) {
			const char *args[ARGS] = { "-o", row->name };
			struct options o;
			struct error err = { "" };

			parse_for(verbs[v], args, &o, &err);
			if (row->kind == OPTION_REFUSED)
				cr_assert(strstr(err.msg, "is refused"), "%s %s: %s", verbs[v], row->name, err.msg);
			else
				cr_assert_eq(strstr(err.msg, "does not apply") != NULL, !(row->scope & scope_of(verbs[v])), "%s %s: %s", verbs[v], row->name, err.msg);
			options_free(&o);
		}
}

/* The same where they mean something. */
Test(options, of_a_view)
{
	static const struct {
		const char *verb, *arg[ARGS];
	} cases[] = {
		{ "info", { "--dry-run", "-o", "to=same,prefix=a" } }, { "info", { "--dry-run", "-o", "index=hf,part_size=3,with=/x" } },
		{ "info", { "-o", "names=hf,with=/x" } }, { "ls", { "-o", "names=hf,with=/x" } }, { "export", { "-o", "to=same,with=/x" } },
		{ "mount", { "-o", "sloppy,ro,verify_nothing,steps=all" } },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct options o;
		struct error err = { "" };

		cr_assert_eq(parse_for(cases[i].verb, cases[i].arg, &o, &err), 0, "case %zu: %s", i, err.msg);
		options_free(&o);
	}
}

Test(options, points)
{
	static const struct {
		const char *arg[ARGS];
		uint32_t sources; /* 0: refused */
		const char *first, *point;
	} cases[] = {
		{ { "/S", "/M" }, 1, "/S", "/M" },
		{ { "/S", "/T", "/M" }, 2, "/S", "/M" },
		{ { "/M", "-o", "source=/S" }, 1, "/S", "/M" },
		{ { "/T", "/M", "-o", "source=/S" }, 2, "/T", "/M" },
		{ { "/M" }, 0, NULL, NULL },
		{ { "-o", "source=/S" }, 0, NULL, NULL },
		{ { "" }, 0, NULL, NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct options o;
		struct error err = { "" };
		int rc;

		cr_assert_eq(parse(cases[i].arg, &o, &err), 0);
		rc = options_take_point(&o, &err);
		cr_assert_eq(rc, cases[i].sources ? 0 : -EINVAL, "case %zu: %s", i, err.msg);
		if (rc == 0) {
			cr_assert_eq(o.source.count, cases[i].sources, "case %zu", i);
			cr_assert_str_eq(o.source.item[0], cases[i].first);
			cr_assert_str_eq(o.mountpoint, cases[i].point);
		}
		options_free(&o);
	}
}
