/* The cache of tables by key (ed25519_keys.h says the rules). */

#include <stdlib.h>

#include "ed25519_keys.h"

#define TABLES_IN_SLAB (HUGE_PAGE / KEY_TABLE_BYTES)
#define PROBES_MAX 64 /* a key that would lie farther off is not remembered: made-up collisions gain nothing */
#define CAPACITY_LEAST 1024

_Static_assert(TABLES_IN_SLAB > 0, "a slab holds at least one table");

static known_key *places_new(size_t count) {
    known_key *places = aligned_alloc(_Alignof(known_key), count * sizeof(known_key));
    return places ? memset(places, 0, count * sizeof(known_key)) : NULL;
}

keys *keys_new(size_t budget_bytes, uint64_t seed, int threads) {
    keys *k = calloc(1, sizeof *k);
    if (!k) {
        return NULL;
    }
    size_t slabs = budget_bytes / HUGE_PAGE;
    k->seed = seed;
    k->threads = threads;
    k->capacity = CAPACITY_LEAST;
    k->tables_max = slabs * TABLES_IN_SLAB;
    k->places = places_new(k->capacity);
    k->slabs = calloc(slabs + 1, sizeof *k->slabs);
    k->tables = calloc(k->tables_max + 1, sizeof *k->tables);
    if (!k->places || !k->slabs || !k->tables) {
        keys_free(k);
        return NULL;
    }
    return k;
}

void keys_free(keys *k) {
    for (size_t i = 0; i < k->slabs_made; i++) {
        free(k->slabs[i]);
    }
    free(k->slabs);
    free(k->tables);
    free(k->places);
    free(k);
}

size_t keys_bytes(const keys *k) {
    return k->slabs_made * HUGE_PAGE;
}

static size_t place_of(const keys *k, const uint8_t key[32]) {
    uint64_t x = k->seed;
    for (int i = 0; i < 4; i++) {
        uint128 product = (uint128)(x ^ load64(key + 8 * i)) * 0x9e3779b97f4a7c15ULL;
        x = (uint64_t)product ^ (uint64_t)(product >> 64) ^ k->seed << i;
    }
    return (size_t)x & (k->capacity - 1);
}

/* The place of `key`, or the free one where it would go, or NULL where all places that it may take are taken. */
static known_key *find(const keys *k, const uint8_t key[32]) {
    size_t at = place_of(k, key);
    for (int probe = 0; probe < PROBES_MAX; probe++, at = (at + 1) & (k->capacity - 1)) {
        known_key *place = &k->places[at];
        if (!place->taken || memcmp(place->key, key, 32) == 0) {
            return place;
        }
    }
    return NULL;
}

static int is_worth_keeping(const known_key *place) {
    return place->registered || place->table;
}

/* Moves what is kept to a map of `capacity` places.  What cannot be placed is forgotten; its table ages and is taken. */
static int rehash(keys *k, size_t capacity, int keep_seen) {
    known_key *old = k->places, *fresh = places_new(capacity);
    size_t old_capacity = k->capacity;
    if (!fresh) {
        return 0;
    }
    k->places = fresh;
    k->capacity = capacity;
    k->taken = k->registered = k->seen = 0;
    for (size_t i = 0; i < old_capacity; i++) {
        int kept = old[i].taken && (keep_seen || is_worth_keeping(&old[i]));
        known_key *place = kept ? find(k, old[i].key) : NULL;
        if (place) {
            *place = old[i];
            k->taken++;
            k->registered += place->registered;
            k->seen += !place->registered;
        }
    }
    free(old);
    return 1;
}

/* The place of `key`, made if need be; NULL where there is none to be had. */
static known_key *find_or_add(keys *k, const uint8_t key[32]) {
    if (2 * k->taken >= k->capacity && !rehash(k, 2 * k->capacity, 1)) {
        return NULL;
    }
    known_key *place = find(k, key);
    if (place && !place->taken) {
        memset(place, 0, sizeof *place);
        memcpy(place->key, key, 32);
        place->taken = 1;
        k->taken++;
        k->seen++;
    }
    return place;
}

static void set_registered(keys *k, known_key *place, uint8_t registered) {
    place->registered = registered;
    if (place->table) {
        place->table->registered = registered;
        k->ready_strangers += place->table->ready * (registered ? (size_t)-1 : 1);
    }
}

int keys_register(keys *k, const uint8_t key[32]) {
    known_key *place = find(k, key);
    if (place && place->taken && place->registered) {
        return 0;
    }
    if (k->registered >= KEYS_REGISTERED_MAX || !(place = find_or_add(k, key))) {
        return -1;
    }
    set_registered(k, place, 1);
    k->registered++;
    k->seen--;
    return 1;
}

void keys_forget(keys *k, const uint8_t key[32]) {
    known_key *place = find(k, key);
    if (place && place->taken && place->registered) {
        set_registered(k, place, 0);
        place->uses = 0;
        k->registered--;
        k->seen++;
    }
}

void keys_begin(keys *k, running_call *call) {
    call->number = ++k->calls;
    call->next = k->running;
    k->running = call;
}

void keys_end(keys *k, running_call *call) {
    running_call **link = &k->running;
    while (*link != call) {
        link = &(*link)->next;
    }
    *link = call->next;
}

/* Memory that no table was ever in, within the budget; NULL when there is none. */
static key_table *unused_table(keys *k) {
    if (k->tables_made == k->tables_max) {
        return NULL;
    }
    size_t within = k->tables_made % TABLES_IN_SLAB;
    if (within == 0) {
        entry *slab = huge_new(HUGE_PAGE);
        if (!slab) {
            return NULL;
        }
        k->slabs[k->slabs_made++] = slab;
    }
    key_table *table = &k->tables[k->tables_made++];
    table->entries = k->slabs[k->slabs_made - 1] + within * KEY_ENTRIES;
    return table;
}

static known_key *owner_of(const keys *k, const key_table *table) {
    known_key *place = find(k, table->key);
    return place && place->taken && place->table == table ? place : NULL;
}

/* Memory that was given back, or else that of the table that was used longest ago, a stranger's first; none that a
 * running call may read, and no member's with `strangers_only`. */
static key_table *used_table(keys *k, int strangers_only) {
    uint64_t oldest_call = k->calls;
    for (const running_call *call = k->running; call; call = call->next) {
        oldest_call = call->number < oldest_call ? call->number : oldest_call;
    }
    key_table *chosen = NULL;
    for (size_t i = 0; i < k->tables_made; i++) {
        key_table *table = &k->tables[i];
        if (!table->taken) {
            return table;
        }
        if (!table->ready || table->used >= oldest_call || (table->registered && strangers_only)) {
            continue;
        }
        if (!chosen || table->registered < chosen->registered ||
            (table->registered == chosen->registered && table->used < chosen->used)) {
            chosen = table;
        }
    }
    if (chosen) {
        known_key *owner = owner_of(k, chosen);
        if (owner) {
            owner->table = NULL;
            owner->ready = NULL;
            owner->uses = 0;
        }
        k->ready--;
        k->ready_strangers -= !chosen->registered;
    }
    return chosen;
}

static key_table *earned_table(keys *k, known_key *place) {
    key_table *table = unused_table(k);
    if (!table && place->registered && k->ready_strangers) {
        table = used_table(k, 1);
    } else if (!table && k->tables_max && k->credits >= KEY_CREDITS) {
        k->credits -= KEY_CREDITS; /* whether or not one is found: looking costs too */
        table = used_table(k, !place->registered);
    }
    if (table) {
        memcpy(table->key, place->key, 32);
        table->taken = 1;
        table->ready = 0;
        table->registered = place->registered;
        place->table = table;
    }
    return table;
}

void keys_prefetch(const keys *k, const uint8_t key[32]) {
    __builtin_prefetch(&k->places[place_of(k, key)]);
}

const entry *keys_table(keys *k, const running_call *call, const uint8_t key[32], key_table **earned) {
    known_key *place = find(k, key);
    if (place && place->taken && place->ready) {
        place->table->used = call->number;
        return place->ready;
    }
    k->credits += k->credits < KEY_CREDITS * KEY_BUILDS;
    if (!place || !place->taken) {
        if (k->seen >= k->ready + KEYS_SEEN_MAX && !rehash(k, k->capacity, 0)) {
            return NULL;
        }
        place = find_or_add(k, key);
        if (!place) {
            return NULL;
        }
    }
    place->uses += place->uses < KEY_USES;
    if (earned && !place->table && !place->refused && (place->registered || place->uses >= KEY_USES)) {
        *earned = earned_table(k, place);
    }
    return NULL;
}

void keys_built(keys *k, key_table *table, int outcome) {
    known_key *owner = owner_of(k, table);
    if (outcome == 1 && owner) {
        table->ready = 1;
        owner->ready = table->entries;
        table->used = k->calls;
        k->ready++;
        k->ready_strangers += !table->registered;
        return;
    }
    table->taken = 0;
    if (owner) {
        owner->table = NULL;
        owner->refused = outcome == 0;
    }
}
