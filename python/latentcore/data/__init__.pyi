from latentcore.data import egamma as egamma, mnist as mnist
from latentcore.data.arrays import ImageSet as ImageSet, load_images as load_images, save_images as save_images
from latentcore.data.cifar import load_cifar10 as load_cifar10, load_cifar100 as load_cifar100
from latentcore.data.folders import ImageFolder as ImageFolder, load_folder as load_folder
from latentcore.data.images import read_image as read_image
from latentcore.data.rotated import RotatedDigits as RotatedDigits
from latentcore.data.transformations import TransformedImages as TransformedImages, transformed as transformed
