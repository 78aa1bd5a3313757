/*
 * media_play_internal.h
 *	  What media_play.c, which sends, and media_heard.c, which reckons, share.
 */
#ifndef GATEWAY_MEDIA_PLAY_INTERNAL_H
#define GATEWAY_MEDIA_PLAY_INTERNAL_H

#include "media_play.h"

extern size_t gw_play_width(const gw_media_play *play);
extern int64_t gw_play_samples(int64_t microseconds);
extern int64_t gw_play_time(uint64_t samples);
extern uint64_t gw_play_between(uint64_t least, int64_t value, uint64_t most);
extern uint64_t gw_play_place_now(const gw_media_play *play, int64_t now);
extern void gw_play_drop_unheard(gw_media_play *play, uint64_t samples);
extern void gw_play_heard_up_to(gw_media_play *play, uint64_t place);
extern void gw_play_look_whether_done(gw_media_play *play);
extern void gw_play_wait_for_marks(gw_media_play *play);
extern void gw_play_patience_is_over(void *arg);
extern void gw_play_send_more(gw_media_play *play, bool on_time);

#endif /* GATEWAY_MEDIA_PLAY_INTERNAL_H */
