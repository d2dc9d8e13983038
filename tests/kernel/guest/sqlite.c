/* SPDX-License-Identifier: MIT */
/* A real program: SQLite, with a database in memory and one in a file, the latter with a journal and with a write-ahead log. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int print_row(void *ctx, int n, char **values, char **names)
{
	int i;

	(void)names;
	printf("%s:", (const char *)ctx);
	for (i = 0; i < n; i++)
		printf(" %s", values[i] ? values[i] : "NULL");
	printf("\n");
	return 0;
}

static void run(sqlite3 *db, const char *what, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(db, sql, print_row, (void *)(long)what, &message) != SQLITE_OK)
		printf("%s: error: %s\n", what, message);
	sqlite3_free(message);
}

static void fill(sqlite3 *db)
{
	sqlite3_stmt *insert;
	int i;

	run(db, "create",
	    "create table t (id integer primary key, name text, value real); create index by_name on t (name)");
	run(db, "begin", "begin");
	sqlite3_prepare_v2(db, "insert into t (name, value) values (?, ?)", -1, &insert, NULL);
	for (i = 0; i < 3000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "name-%04d", (i * 7919) % 3000);
		sqlite3_bind_text(insert, 1, name, -1, SQLITE_TRANSIENT);
		sqlite3_bind_double(insert, 2, i * 0.5);
		sqlite3_step(insert);
		sqlite3_reset(insert);
	}
	sqlite3_finalize(insert);
	run(db, "commit", "commit");
	run(db, "count", "select count(*), sum(value), min(name), max(name) from t");
	run(db, "one", "select id, value from t where name = 'name-1234'");
	run(db, "join", "select count(*) from t a join t b on a.value = b.value * 2");
	run(db, "rollback",
	    "begin; delete from t where id % 2; select count(*) from t; rollback; select count(*) from t");
	run(db, "update",
	    "update t set value = value + 1 where id <= 1000; select sum(value) from t");
	run(db, "group", "select substr(name, 1, 6) as k, count(*) from t group by k order by k");
	run(db, "integrity", "pragma integrity_check");
	run(db, "vacuum", "delete from t where id > 500; vacuum; select count(*), max(id) from t");
}

static void in_file(const char *journal)
{
	char name[] = "/tmp/sqlite-XXXXXX", sql[100];
	sqlite3 *db, *other;

	close(mkstemp(name));
	sqlite3_open(name, &db);
	sqlite3_open(name, &other);
	snprintf(sql, sizeof(sql), "pragma journal_mode = %s; pragma mmap_size = 1048576", journal);
	run(db, "mode", sql);
	fill(db);
	run(db, "lock", "begin exclusive");
	run(other, "other", "insert into t (name) values ('x')");
	run(db, "unlock", "commit");
	run(other, "other", "select count(*) from t");
	run(other, "other's integrity", "pragma integrity_check");
	sqlite3_close(db);
	sqlite3_close(other);
	unlink(name);
	snprintf(sql, sizeof(sql), "%s-wal", name);
	printf("no log is left: %d\n", access(sql, F_OK));
}

int main(void)
{
	sqlite3 *db;

	setvbuf(stdout, NULL, _IOLBF, 0);
	sqlite3_open(":memory:", &db);
	fill(db);
	sqlite3_close(db);
	in_file("delete");
	in_file("wal");
	return 0;
}
