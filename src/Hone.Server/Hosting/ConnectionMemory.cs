using System.Buffers;
using Microsoft.AspNetCore.Connections;

namespace Hone.Server.Hosting;

/// <summary>What connections read into and write from. Kestrel's own pieces are of 4 KB, and an upload costs a system call for each.</summary>
internal sealed class ConnectionMemory : IMemoryPoolFactory<byte>
{
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => new LargePieces();

    private sealed class LargePieces : MemoryPool<byte>
    {
        private const int PieceBytes = 1 << 16;

        public override int MaxBufferSize => Shared.MaxBufferSize;

        public override IMemoryOwner<byte> Rent(int minBufferSize = -1) => Shared.Rent(Math.Max(minBufferSize, PieceBytes));

        protected override void Dispose(bool disposing)
        {
        }
    }
}
