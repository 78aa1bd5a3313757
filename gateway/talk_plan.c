/*
 * talk_plan.c
 *	  What conversations are conducted by and read only: those with the same plan, or the same lists of words, share it.
 */
#include <stdlib.h>
#include <string.h>

#include "engine_service.h"
#include "log.h"
#include "talk_internal.h"

/* ---------------------------------------------------------------------------
 * Lists of words
 * ---------------------------------------------------------------------------
 */

static talk_words *all_words;

void
talk_words_let_go(talk_words *words)
{
	talk_words **place = &all_words;

	if (words == NULL || --words->users > 0)
		return;
	while (*place != words)
		place = &(*place)->next;
	*place = words->next;
	for (int i = 0; i < MB_TURN_LISTS; i++)
		free(words->lists[i]);
	free(words->text);
	free(words);
}

static bool
read_words(talk_words *words)
{
	json_t *phrases = json_loads(words->text, 0, NULL);
	bool ok = json_array_size(phrases) == MB_TURN_LISTS;

	for (int i = 0; i < MB_TURN_LISTS && ok; i++)
	{
		const char *text = json_string_value(json_array_get(phrases, (size_t) i));
		size_t n = text == NULL ? 0 : strlen(text);

		words->lists[i] = malloc(MB_TURN_LIST_ROOM(n));
		ok = words->lists[i] != NULL;
		if (ok)
			mb_turn_fold_list(text == NULL ? "" : text, n, words->lists[i]);
	}
	json_decref(phrases);
	return ok;
}

talk_words *
talk_words_of(const char *text)
{
	talk_words *words = all_words;

	while (words != NULL && strcmp(words->text, text) != 0)
		words = words->next;
	if (words == NULL)
	{
		words = calloc(1, sizeof(*words));
		if (words == NULL)
			return NULL;
		words->next = all_words;
		all_words = words;
		words->text = strdup(text);
	}
	words->users++;
	if (words->users > 1 || (words->text != NULL && read_words(words)))
		return words;
	talk_words_let_go(words);
	return NULL;
}

/* ---------------------------------------------------------------------------
 * Plans
 * ---------------------------------------------------------------------------
 */

static talk_plan *all_plans;

void
talk_plan_let_go(talk_plan *plan)
{
	talk_plan **place = &all_plans;

	if (plan == NULL || --plan->users > 0)
		return;
	while (*place != plan)
		place = &(*place)->next;
	*place = plan->next;
	for (int i = 0; i < TALK_SERVICES; i++)
	{
		gw_service_free(plan->listen[i]);
		gw_service_free(plan->speak[i]);
		gw_service_free(plan->chat[i]);
		free(plan->voice_keys[i]);
	}
	json_decref(plan->texts);
	/* keys are in it */
	gw_service_wipe(plan->text);
	free(plan->tenant);
	free(plan);
}

/* Those that can be used, and of each its voice key where there is room for them. */
static int
read_services(const talk_plan *plan, const json_t *list, gw_service **services, char **voice_keys)
{
	int n = 0;

	for (size_t i = 0; i < json_array_size(list) && n < TALK_SERVICES; i++)
	{
		const json_t *json = json_array_get(list, i);
		const char *key = json_string_value(json_object_get(json, "voice_key"));
		const char *problem;

		services[n] = gw_service_read(json, plan->tenant, &problem);
		if (services[n] == NULL)
		{
			gw_log(GW_ERROR, "a service cannot be used", "tenant %s: %s", plan->tenant, problem);
			continue;
		}
		if (voice_keys != NULL)
			voice_keys[n] = strdup(key == NULL ? "" : key);
		n++;
	}
	return n;
}

static bool
read_plan(talk_plan *plan, const json_t *json)
{
	const char *reply = json_string_value(json_object_get(json, "reply"));

	plan->n_listen = read_services(plan, json_object_get(json, "listen"), plan->listen, NULL);
	plan->n_speak =
		read_services(plan, json_object_get(json, "speak"), plan->speak, plan->voice_keys);
	plan->n_chat = read_services(plan, json_object_get(json, "chat"), plan->chat, NULL);
	plan->reply_timeout_ms = (int) json_integer_value(json_object_get(json, "reply_timeout_ms"));
	plan->hedge_ms[GW_TALK_REPLY] =
		(int) json_integer_value(json_object_get(json, "hedge_reply_ms"));
	plan->hedge_ms[GW_TALK_SPEAK] =
		(int) json_integer_value(json_object_get(json, "hedge_speak_ms"));
	plan->texts = json_incref(json_object_get(json, "texts"));
	/* a function does what it likes and tools write: they are asked when it is certain */
	plan->speculates = reply != NULL && strcmp(reply, "chat") == 0 &&
					   !json_is_true(json_object_get(json, "tools"));
	return plan->n_listen > 0 && plan->n_speak > 0 &&
		   (plan->n_chat > 0 || reply == NULL || strcmp(reply, "function") == 0);
}

talk_plan *
talk_plan_of(const char *tenant, const char *text, const json_t *json)
{
	talk_plan *plan = all_plans;

	while (plan != NULL && (strcmp(plan->text, text) != 0 || strcmp(plan->tenant, tenant) != 0))
		plan = plan->next;
	if (plan != NULL)
	{
		plan->users++;
		return plan;
	}
	plan = calloc(1, sizeof(*plan));
	if (plan == NULL)
		return NULL;
	plan->users = 1;
	plan->next = all_plans;
	all_plans = plan;
	plan->text = strdup(text);
	plan->tenant = strdup(tenant);
	if (plan->text != NULL && plan->tenant != NULL && read_plan(plan, json))
		return plan;
	talk_plan_let_go(plan);
	return NULL;
}
