/*
    Dumps to test with, and an own reading of them: it walks over the JSON and shares nothing with the
    page, so that the two can be compared.
*/

const MIB = 1 << 20;

/*  Numbers that are the same in every run. */
function numbers(seed) {
    return below => {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        return Math.floor(seed / 4294967296 * below);
    };
}

const MODULES = ["renderer", "streaming", "particles", "ui", "terrain", "physics", "audio", "video", "tools"];

function someRange(random, size) {
    const image = random(2) === 0;
    const range = {Type: image ? "IMAGE_OPTIMAL" : "BUFFER", Size: size,
        Usage: image ? [6, 22, 38, 8][random(4)] : [131, 67, 16, 34, 3, 258][random(6)]};
    if (random(10) > 0) {
        range.Name = (image ? "texture " : "mesh ") + random(100000);
    }
    if (random(10) > 0) {
        range.Module = MODULES[Math.min(random(9), random(9))];
    }
    return range;
}

function someBlock(random, total, largest, freeIn) {
    const ranges = [];
    for (let offset = 0, wasFree = false; offset < total;) {
        const size = Math.min(256 * (1 + random(largest / 256)), total - offset);
        const free = !wasFree && random(freeIn) === 0;
        ranges.push({Offset: offset, ...(free ? {Type: "FREE", Size: size} : someRange(random, size))});
        wasFree = free;
        offset += size;
    }
    return {MapRefCount: random(2), TotalBytes: total, Suballocations: ranges};
}

/*  Three heaps, four types, a custom pool, and all that a dump may have. */
export function largeDump() {
    const random = numbers(7);
    const heap = (flags, size, ...types) => ({Flags: flags, Size: size,
        Budget: {BudgetBytes: size * .8, UsageBytes: size / 2}, Stats: {},
        MemoryPools: Object.fromEntries(types.map(type => [`Type ${type}`, {Flags: flags}]))});
    const pool = type => ({PreferredBlockSize: 256 * MIB,
        Blocks: Object.fromEntries([0, 1, 2, 5].map(id =>
            [id, someBlock(random, [16, 32, 64][random(3)] * MIB, 2 * MIB, 4 + 3 * type)])),
        DedicatedAllocations: [1, 2, 3].map(i =>
            ({...someRange(random, i * 7 * MIB), Name: `target ${type}.${i}`}))});
    return {General: {API: "Vulkan", GPU: "Made-up GPU 9000"},
        MemoryInfo: {"Heap 0": heap(["DEVICE_LOCAL"], 8192 * MIB, 0), "Heap 1": heap([], 16384 * MIB, 1, 2),
            "Heap 2": heap(["DEVICE_LOCAL", "HOST_VISIBLE"], 256 * MIB, 3)},
        DefaultPools: {"Type 0": pool(0), "Type 1": pool(1), "Type 3": pool(3)},
        CustomPools: {"Type 1": [{Name: "staging ring", Blocks: {0: someBlock(random, 32 * MIB, MIB, 2)},
            DedicatedAllocations: []}]},
        Modules: Object.fromEntries(MODULES.map(name => [name, {PeakBytes: (100 + random(300)) * MIB}])),
        History: Array.from({length: 500}, (_, i) => ({Frame: 1000 + i, LiveBytes: (200 + i % 50) * MIB + i,
            CommittedBytes: (260 + Math.floor(i / 50) * 8) * MIB, Allocations: 5 + random(60),
            Frees: random(60), DriverCalls: i % 50 === 0 ? 2 : 0})),
        Leaks: [1, 2, 3].map(i =>
            ({Type: "BUFFER", Size: 65536 * i, Name: `forgotten ${i}`, Usage: 16, Module: "ui"}))};
}

/*  What changed is told beside it: numbers of things and their bytes. */
export function laterDump(dump) {
    const random = numbers(11);
    const later = structuredClone(dump);
    const told = {added: [], removed: [], moved: []};
    const pools = later.DefaultPools;
    const used = (type, block) => pools[type].Blocks[block].Suballocations.filter(r => r.Type !== "FREE");
    for (const range of used("Type 0", 1).filter(() => random(8) === 0)) {
        told.removed.push(range.Size);
        const {Offset, Size} = range;
        Object.keys(range).forEach(key => delete range[key]);
        Object.assign(range, {Offset, Type: "FREE", Size});
    }
    told.removed.push(...used("Type 1", 2).map(range => range.Size));
    delete pools["Type 1"].Blocks[2];
    pools["Type 3"].Blocks[9] = {TotalBytes: 8 * MIB, Suballocations: [
        {Offset: 0, Type: "FREE", Size: MIB},
        {Offset: MIB, Type: "BUFFER", Size: 3 * MIB, Usage: 16, Name: "something new"},
        {Offset: 4 * MIB, Type: "FREE", Size: 4 * MIB}]};
    told.added.push(3 * MIB);
    const mover = pools["Type 0"].DedicatedAllocations.pop();
    pools["Type 0"].Blocks[7] = {TotalBytes: mover.Size + MIB, Suballocations: [{...mover, Offset: 0},
        {Offset: mover.Size, Type: "FREE", Size: MIB}]};
    told.moved.push(mover.Size);
    return {later, told};
}

export function hugeDump(count) {
    const random = numbers(3);
    const ranges = [];
    let offset = 0;
    for (let i = 0; i < count; i++) {
        const size = [64, 256, 1024, 4096, 65536][random(5)];
        ranges.push(random(5) === 0 ? {Offset: offset, Type: "FREE", Size: size} :
            {Offset: offset, Type: "BUFFER", Size: size, Usage: [131, 16, 32, 3][random(4)], Name: `b${i}`});
        offset += size;
    }
    const Blocks = {0: {TotalBytes: offset, Suballocations: ranges}};
    return {MemoryInfo: {}, DefaultPools: {"Type 0": {Blocks}}};
}

/*  {committed, live, memories, allocations: [...], heaps: {index: {committed, live}}, blocks: {key: ...}} */
export function readIndependently(dump) {
    const sums = {committed: 0, live: 0, memories: 0, allocations: [], heaps: {}, blocks: {}};
    const heapOf = {};
    for (const [key, heap] of Object.entries(dump.MemoryInfo || {})) {
        Object.keys(heap.MemoryPools).forEach(type => { heapOf[type] = key; });
        sums.heaps[key] = {committed: 0, live: 0};
    }
    const takePool = (type, name, pool) => {
        const heap = sums.heaps[heapOf[type]] || {committed: 0, live: 0};
        const take = (block, ranges, size) => {
            const used = ranges.filter(range => range.Type !== "FREE");
            const live = used.reduce((sum, range) => sum + range.Size, 0);
            sums.blocks[`${type.replace("Type ", "")}/${name}/${block}`] = {size, live, ranges};
            sums.allocations.push(...used);
            sums.committed += size;
            heap.committed += size;
            sums.live += live;
            heap.live += live;
            sums.memories += block === "dedicated" ? ranges.length : 1;
        };
        Object.entries(pool.Blocks).forEach(([id, block]) =>
            take(id, block.Suballocations, block.TotalBytes));
        const dedicated = pool.DedicatedAllocations || [];
        if (dedicated.length > 0) {
            take("dedicated", dedicated, dedicated.reduce((sum, range) => sum + range.Size, 0));
        }
    };
    Object.entries(dump.DefaultPools || {}).forEach(([type, pool]) => takePool(type, "default pool", pool));
    Object.entries(dump.CustomPools || {}).forEach(([type, pools]) =>
        pools.forEach(pool => takePool(type, "custom " + pool.Name, pool)));
    return sums;
}
