/*
 * test_spool.c
 *	  Records of an edge's spool: written, read however they are cut, damaged byte by byte and cut off
 *	  at every length.
 */
#include "check.h"
#include "core/spool/crc32c.h"
#include "core/spool/record.h"

/* The second record goes over the seams of three blocks, the last has nothing in it. */
static const size_t lengths[] = { 160, 1300, 320, 440, 444, 0 };
#define N_RECORDS (sizeof(lengths) / sizeof(lengths[0]))

typedef struct segment
{
	uint8_t bytes[16384];
	size_t size;
	size_t at[N_RECORDS + 1];
	mb_spool_record records[N_RECORDS];
	uint8_t audio[N_RECORDS][2000];
} segment;

/* What came out of a segment. */
typedef struct outcome
{
	size_t n;
	uint64_t numbers[N_RECORDS];
	size_t losses;
	uint64_t lost_bytes;
	uint64_t lost_records;
	mb_spool_loss first;
	bool last;
	bool wrong; /* a record that was never written */
} outcome;

static segment *
make(void)
{
	segment *segment = calloc(1, sizeof(*segment));
	check_random random = { 12 };

	for (size_t i = 0; i < N_RECORDS; i++)
	{
		mb_spool_record *record = &segment->records[i];

		/* audio of a caller who knows how records look */
		for (size_t j = 0; j < lengths[i]; j++)
			segment->audio[i][j] = (uint8_t) check_random_below(&random, 256);
		for (size_t j = 0; j + 4 < lengths[i]; j += 30)
			memcpy(segment->audio[i] + j, j % 60 == 0 ? "MSP1" : "MSP+", 4);
		record->kind = (uint8_t) i;
		record->duration_us = 20000;
		record->number = 70 + i;
		record->sequence = (int64_t) i - 2;
		record->monotonic_us = 1000000 + (int64_t) i * 20000;
		record->wall_us = i % 2 ? MB_SPOOL_NO_TIME : INT64_C(1700000000000000);
		memset(record->boot, 0xB0 + (int) i, MB_SPOOL_BOOT);
		record->call = "call-7f3a";
		record->call_length = i == 5 ? 0 : 9;
		record->track = "caller";
		record->track_length = i == 0 ? 0 : 6;
		record->bytes = segment->audio[i];
		record->length = lengths[i];
		segment->at[i] = segment->size;
		mb_spool_write(record, segment->bytes + segment->size);
		segment->size += mb_spool_size(record);
	}
	segment->at[N_RECORDS] = segment->size;
	return segment;
}

static bool
same(const mb_spool_record *a, const mb_spool_record *b)
{
	return a->kind == b->kind && a->duration_us == b->duration_us && a->number == b->number &&
		   a->sequence == b->sequence && a->monotonic_us == b->monotonic_us &&
		   a->wall_us == b->wall_us && memcmp(a->boot, b->boot, MB_SPOOL_BOOT) == 0 &&
		   a->call_length == b->call_length && memcmp(a->call, b->call, a->call_length) == 0 &&
		   a->track_length == b->track_length && memcmp(a->track, b->track, a->track_length) == 0 &&
		   a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static void
count_loss(outcome *outcome, const mb_spool_loss *loss)
{
	if (outcome->losses++ == 0)
		outcome->first = *loss;
	outcome->lost_bytes += loss->bytes;
	outcome->lost_records += loss->records;
	outcome->last = loss->last;
}

/* Reads n bytes in pieces of "step". */
static outcome
read_all(const segment *segment, const uint8_t *bytes, size_t n, size_t step)
{
	static mb_spool_reader reader;
	outcome outcome = { 0 };
	mb_spool_record record;
	mb_spool_loss loss;

	mb_spool_reader_begin(&reader);
	for (size_t at = 0; at < n;)
	{
		size_t piece = n - at < step ? n - at : step;
		uint8_t *copy = malloc(piece);
		size_t done = 0;
		mb_spool_outcome found;

		memcpy(copy, bytes + at, piece);
		do
		{
			size_t used;

			found = mb_spool_read(&reader, copy + done, piece - done, &used, &record, &loss);
			done += used;
			if (found == MB_SPOOL_LOSS)
				count_loss(&outcome, &loss);
			if (found == MB_SPOOL_RECORD)
			{
				uint64_t i = record.number - 70;

				if (i >= N_RECORDS || !same(&record, &segment->records[i]))
					outcome.wrong = true;
				else
					outcome.numbers[outcome.n++] = record.number;
			}
		} while (found != MB_SPOOL_MORE);
		free(copy);
		at += piece;
	}
	if (mb_spool_read_end(&reader, &loss))
		count_loss(&outcome, &loss);
	return outcome;
}

static const size_t steps[] = { 1, 7, 511, 512, 513, 100000 };
#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

static void
checksums_are_castagnolis(void)
{
	uint8_t zeroes[32] = { 0 };

	check_int(mb_crc32c(0, "123456789", 9), 0xE3069283);
	check_int(mb_crc32c(mb_crc32c(0, "1234", 4), "56789", 5), 0xE3069283);
	check_int(mb_crc32c(0, zeroes, 32), 0x8A9136AA); /* RFC 3720, B.4 */
	check_int(mb_crc32c(0, NULL, 0), 0);
}

static void
records_come_out(void)
{
	segment *segment = make();

	check_int(segment->at[1], 512);
	check_int(segment->at[2] - segment->at[1], 3 * 512);
	memset(segment->bytes + segment->size, 0, 4096);
	for (size_t i = 0; i < N_STEPS; i++)
	{
		outcome outcome = read_all(segment, segment->bytes, segment->size + 4096, steps[i]);

		check_int(outcome.n, N_RECORDS);
		check_int(outcome.losses, 0);
		check(!outcome.wrong);
	}
	free(segment);
}

static void
parts_are_bounded(void)
{
	mb_spool_record record = { .number = 1 };

	check_int(mb_spool_size(&record), 512);
	record.length = MB_SPOOL_MAX_BYTES;
	record.call_length = record.track_length = MB_SPOOL_MAX_NAME;
	check_int(mb_spool_size(&record), MB_SPOOL_MAX_RECORD);
	record.length++;
	check_int(mb_spool_size(&record), 0);
	record.length--;
	record.call_length++;
	check_int(mb_spool_size(&record), 0);
	record.call_length--;
	record.track_length++;
	check_int(mb_spool_size(&record), 0);
}

/* The largest record comes out as it went in. */
static void
the_largest_fits(void)
{
	static mb_spool_reader reader;
	static uint8_t audio[MB_SPOOL_MAX_BYTES];
	static char name[MB_SPOOL_MAX_NAME];
	static uint8_t out[MB_SPOOL_MAX_RECORD];
	mb_spool_record record = { .number = 1, .call = name, .track = name, .bytes = audio };
	mb_spool_record back;
	mb_spool_loss loss;
	size_t used;

	memset(audio, 0x5A, sizeof(audio));
	memset(name, 'n', sizeof(name));
	record.length = sizeof(audio);
	record.call_length = record.track_length = sizeof(name);
	mb_spool_write(&record, out);
	mb_spool_reader_begin(&reader);
	REQUIRE(mb_spool_read(&reader, out, sizeof(out), &used, &back, &loss) == MB_SPOOL_RECORD);
	check(same(&record, &back));
	check_int(used, sizeof(out));
}

/* Exactly the record in whose blocks the damage lies is lost, and it is said how much that is. */
static void
expect_one_less(const outcome *outcome, size_t hit, const segment *segment, size_t at)
{
	size_t size = segment->at[hit + 1] - segment->at[hit];
	bool ok = !outcome->wrong && outcome->n == N_RECORDS - 1 && outcome->losses == 1 &&
			  outcome->lost_bytes == size && outcome->first.at == segment->at[hit];

	for (size_t i = 0; i < outcome->n; i++)
		ok = ok && outcome->numbers[i] == 70 + i + (i >= hit);
	/* what is missing before the first and behind the last record has no numbers around it */
	ok = ok && outcome->lost_records == (hit > 0 && hit < N_RECORDS - 1) &&
		 outcome->last == (hit == N_RECORDS - 1);
	check_report(ok, __FILE__, __LINE__,
				 "byte %zu of record %zu: %zu records, %zu losses, %" PRIu64 " bytes at %" PRIu64,
				 at, hit, outcome->n, outcome->losses, outcome->lost_bytes, outcome->first.at);
}

static void
each_byte_damaged(void)
{
	static const uint8_t flips[] = { 0x01, 0x80, 0xFF };
	segment *segment = make();

	for (size_t hit = 0; hit < N_RECORDS; hit++)
	{
		size_t body = MB_SPOOL_HEAD + segment->records[hit].call_length +
					  segment->records[hit].track_length + lengths[hit];
		size_t size = segment->at[hit + 1] - segment->at[hit];

		for (size_t i = 0; i < size * 3; i++)
		{
			size_t at = segment->at[hit] + i / 3;
			size_t in_body = i / 3 / 512 * 508 + i / 3 % 512 - 4;
			outcome outcome;

			segment->bytes[at] ^= flips[i % 3];
			outcome = read_all(segment, segment->bytes, segment->size, 1000);
			segment->bytes[at] ^= flips[i % 3];
			if (i / 3 % 512 >= 4 && in_body >= body)
			{
				/* behind the record: nothing is lost, but it is told */
				check(outcome.n == N_RECORDS && !outcome.wrong && outcome.losses == 1 &&
					  outcome.lost_bytes == 1 && outcome.lost_records == 0 &&
					  outcome.first.at == at);
				continue;
			}
			expect_one_less(&outcome, hit, segment, at);
		}
	}
	free(segment);
}

static void
blocks_that_were_never_written(void)
{
	segment *segment = make();
	uint8_t kept[1024];
	outcome outcome;

	/* one block of the second record, and the fourth with its neighbour's end */
	for (size_t block = 1; block < 4; block++)
	{
		memcpy(kept, segment->bytes + block * 512, 512);
		memset(segment->bytes + block * 512, 0, 512);
		outcome = read_all(segment, segment->bytes, segment->size, 100);
		memcpy(segment->bytes + block * 512, kept, 512);
		expect_one_less(&outcome, 1, segment, block * 512);
	}
	memcpy(kept, segment->bytes + 3 * 512, 1024);
	memset(segment->bytes + 3 * 512, 0, 1024);
	outcome = read_all(segment, segment->bytes, segment->size, 100);
	check_int(outcome.n, N_RECORDS - 2);
	check_int(outcome.lost_records, 2);
	check_int(outcome.lost_bytes, 4 * 512);
	check_int(outcome.first.at, 512);
	memcpy(segment->bytes + 3 * 512, kept, 1024);
	/* the same block twice in the place of another */
	memcpy(kept, segment->bytes + 2 * 512, 512);
	memcpy(segment->bytes + 2 * 512, segment->bytes, 512);
	outcome = read_all(segment, segment->bytes, segment->size, 100);
	check_int(outcome.n, N_RECORDS); /* the first comes twice, the second not at all */
	check(!outcome.wrong);
	check_int(outcome.lost_bytes, 2 * 512);
	free(segment);
}

/* The power fails: what was whole is there, the rest is told with its length. */
static void
cut_off_at_every_length(void)
{
	segment *segment = make();

	for (size_t n = 0; n <= segment->size; n++)
	{
		size_t whole = 0;
		uint8_t *preallocated = calloc(1, segment->size + 1024);
		outcome cut = read_all(segment, segment->bytes, n, 700);
		outcome zeroed;
		uint64_t rest;

		while (whole < N_RECORDS && segment->at[whole + 1] <= n)
			whole++;
		rest = n - segment->at[whole];
		check_report(cut.n == whole && !cut.wrong && cut.lost_bytes == rest &&
						 cut.losses == (rest > 0) && (rest == 0 || cut.last) &&
						 (rest == 0 || cut.first.at == segment->at[whole]),
					 __FILE__, __LINE__, "cut off at %zu: %zu records, %" PRIu64 " bytes lost", n,
					 cut.n, cut.lost_bytes);

		/* in a file whose room was taken beforehand zeroes follow */
		memcpy(preallocated, segment->bytes, n);
		zeroed = read_all(segment, preallocated, segment->size + 1024, 700);
		/* the last record may be whole already when only zeroes are missing */
		check_report(zeroed.n >= whole && zeroed.n <= whole + 1 && !zeroed.wrong &&
						 zeroed.lost_bytes == (zeroed.n > whole ? 0 : (rest + 511) / 512 * 512) &&
						 (zeroed.losses == 0 || zeroed.last),
					 __FILE__, __LINE__, "zeroes from %zu: %zu records, %" PRIu64 " bytes lost", n,
					 zeroed.n, zeroed.lost_bytes);
		free(preallocated);
	}
	free(segment);
}

/* Numbers go on from segment to segment, so that a lost end is told by the next beginning. */
static void
numbers_span_segments(void)
{
	static mb_spool_reader reader;
	segment *segment = make();
	mb_spool_record record;
	mb_spool_loss loss;
	size_t used;

	mb_spool_reader_begin(&reader);
	check_int(mb_spool_read(&reader, segment->bytes, 512, &used, &record, &loss), MB_SPOOL_RECORD);
	check(!mb_spool_read_end(&reader, &loss));
	check_int(mb_spool_read(&reader, segment->bytes + segment->at[4], 512, &used, &record, &loss),
			  MB_SPOOL_MORE);
	check_int(
		mb_spool_read(&reader, segment->bytes + segment->at[4] + 512, 512, &used, &record, &loss),
		MB_SPOOL_LOSS);
	check_int(loss.records, 3);
	check_int(loss.bytes, 0);
	check(!loss.last);
	check_int(mb_spool_read(&reader, segment->bytes, 0, &used, &record, &loss), MB_SPOOL_RECORD);
	check_int(record.number, 74);
	check_int(mb_spool_read(&reader, segment->bytes, 0, &used, &record, &loss), MB_SPOOL_MORE);
	free(segment);
}

int
main(void)
{
	check_run("checksums are CRC-32C", checksums_are_castagnolis);
	check_run("records come out, however they are cut", records_come_out);
	check_run("names and bytes are bounded", parts_are_bounded);
	check_run("the largest record fits its reader", the_largest_fits);
	check_run("a damaged byte costs its record and no other", each_byte_damaged);
	check_run("so do blocks that were never written, or in the wrong place",
			  blocks_that_were_never_written);
	check_run("cut off anywhere, what was whole is there", cut_off_at_every_length);
	check_run("numbers go on from segment to segment", numbers_span_segments);
	return check_done();
}
